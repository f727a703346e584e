// Drains this broker where an operator has ordered it: nobody new gets a session, and those that are there end one after the other, over
// the time that the order gives. Goes on with the order after a restart, until it is taken back.
import type { DrainOrder } from '../../db/nodes/node-drains.ts'
import type { Session } from '../mqtt/connection/sessions.ts'
import type { Engine } from '../mqtt/index.ts'

type NodeDrainOptions = {
  /** Throws where the registry cannot be read: what was ordered before holds then. */
  readOrder(): DrainOrder | null
  engine: Pick<Engine, 'redirect' | 'sendAway' | 'sessions'>
  /** How long a session whose turn has come may take to finish what is half done. */
  patienceMs: number
  onBegun(order: DrainOrder, sessions: number): void
  /** No session is left. */
  onDrained(order: DrainOrder): void
  onResumed(): void
  onDoubt(error: unknown): void
}

export type NodeDrain = {
  /** The order that is being followed; null where this broker takes sessions. */
  order(): DrainOrder | null
  stop(): void
}

const LOOK_MS = 100
const STEP_MS = 50
/** Some 10,000 a second: what is more would hold the event loop. */
const ENDED_AT_ONCE_MAX = 500

/** A session whose turn has come, and since when, by `performance.now()`. */
type Due = { session: Session; since: number }

/** Reads the order before it returns: a broker that is drained never admits at its start. */
export function watchNodeDrain(options: NodeDrainOptions): NodeDrain {
  const { engine } = options
  let order: DrainOrder | null = null
  let steps: NodeJS.Timeout | null = null

  function look(): void {
    try {
      const found = options.readOrder()
      if (found?.at === order?.at) return
      order = found
      if (steps !== null) clearInterval(steps)
      steps = null
      engine.redirect(order)
      if (order === null) options.onResumed()
      else follow(order)
    } catch (error) {
      options.onDoubt(error)
    }
  }

  function follow(followed: DrainOrder): void {
    const began = performance.now()
    let waiting = openSessions()
    let due: Due[] = []
    const inAll = waiting.length
    let drained = false
    options.onBegun(followed, inAll)
    step()
    steps = setInterval(step, STEP_MS)

    function step(): void {
      const now = performance.now()
      // Those that were half way in when the order came, and those that stay although they were told to go.
      if (waiting.length === 0 && due.length === 0) waiting = openSessions()
      const left = followed.overMs === 0 ? 0 : Math.max(0, 1 - (now - began) / followed.overMs)
      const excess = waiting.length + due.length - Math.floor(inAll * left)
      const turns = Math.max(0, Math.min(excess - due.length, waiting.length, ENDED_AT_ONCE_MAX))
      due.push(...waiting.splice(0, turns).map(session => ({ session, since: now })))
      due = due.filter(
        ({ session, since }) =>
          isOpen(session) && !engine.sendAway(session, now - since < options.patienceMs),
      )
      if (drained || waiting.length > 0 || due.length > 0 || openSessions().length > 0) return
      drained = true
      options.onDrained(followed)
    }
  }

  function openSessions(): Session[] {
    return [...engine.sessions.all()].filter(isOpen)
  }

  look()
  const looks = setInterval(look, LOOK_MS)
  return {
    order: () => order,
    stop() {
      clearInterval(looks)
      if (steps !== null) clearInterval(steps)
    },
  }
}

function isOpen({ connected, ended, replaced }: Session): boolean {
  return connected && ended === null && replaced !== true
}
