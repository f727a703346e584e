// Hands the queue of one session to its device: page by page, so that memory does not grow with it, and no more at once than
// it may have in flight. Reads alone; what is sent and acknowledged is noted by the queue.
import type { QueuedRow, QueueTable } from '../../../db/sessions/session-queue.ts'
import type { Outgoing, Restored } from './session-queue.ts'

const PAGE = 100
/** Sent and not acknowledged: beyond this the rest waits on disk, for packet identifiers end at 65,535. */
const IN_FLIGHT_MAX = 10_000
/** How often a stream that waits looks whether it is still wanted. */
const LOOK_MS = 50

export type Handing = {
  /** The page that was read and has no identifiers yet. */
  read: { id: number; counter: number }[]
  /** The identifiers that its messages were given, by counter, and when these are on disk. */
  ids: Map<number, number>
  kept: Promise<void> | null
  /** What was handed out and is not about to be sent yet. */
  untaken: Set<string>
  allTaken: () => void
  over: boolean
}

export function newHanding(): Handing {
  return { read: [], ids: new Map(), kept: null, untaken: new Set(), allTaken: () => {}, over: false }
}

/** What tells apart what was handed out. */
export function keyOf({ cmd, brokerCounter, messageId }: Partial<Outgoing>): string {
  return cmd === 'pubrel' ? `pubrel ${messageId}` : `${brokerCounter}`
}

/**
 * All that waits, oldest first, read as it is taken. What is too old is left out. Where `caughtUp` is given, also what joins the
 * queue meanwhile, until nothing is left and all of it is about to be sent: it is told in that very turn, with the newest counter.
 */
export async function* queueStream(parts: {
  table: QueueTable
  session: number
  page: Handing
  asPacket(row: QueuedRow): Restored
  tooOld(row: QueuedRow): boolean
  isOver(): boolean
  caughtUp: ((newest: number) => void) | null
  over(): void
}): AsyncGenerator<Restored> {
  const { table, session, page, isOver, caughtUp } = parts
  // Where nobody follows, what comes from now on is delivered as it comes.
  const until = caughtUp === null ? table.lastCounter() : Number.MAX_SAFE_INTEGER
  let newest = 0

  function* handed(rows: QueuedRow[]): Generator<Restored> {
    const packets = rows.map(parts.asPacket)
    if (caughtUp !== null) for (const packet of packets) page.untaken.add(keyOf(packet))
    newest = rows.reduce((most, { counter }) => Math.max(most, counter), newest)
    yield* packets
  }

  for (let after = 0, rows = table.sent(session, after, PAGE); rows.length > 0; ) {
    const packets = handed(rows.filter(row => !parts.tooOld(row)))
    for (const packet of packets) {
      // PUBLISH again [MQTT-3.3.1-1]; PUBREL has no such flag.
      if (caughtUp !== null && packet.cmd !== 'pubrel') Object.assign(packet, { dup: true })
      yield packet
    }
    after = rows.at(-1)!.id
    rows = table.sent(session, after, PAGE)
  }
  for (let after = -1, found = false; !isOver(); ) {
    if (page.untaken.size > 0) {
      await allTaken(page)
      continue
    }
    if (table.sentCount(session, IN_FLIGHT_MAX) >= IN_FLIGHT_MAX) {
      await new Promise(resolve => setTimeout(resolve, LOOK_MS).unref())
      continue
    }
    const rows = table.unsent(session, after, until, PAGE)
    if (rows.length > 0) {
      const fresh = rows.filter(row => !parts.tooOld(row))
      for (const { id, counter } of fresh) page.read.push({ id, counter })
      yield* handed(fresh)
      after = rows.at(-1)!.counter
      found ||= fresh.length > 0
    } else if (caughtUp !== null && found) {
      // Some may have joined behind newer ones that were read before.
      after = -1
      found = false
    } else {
      caughtUp?.(newest)
      break
    }
  }
  page.over = true
  parts.over()
}

/** Resolves when all that was handed out is about to be sent, or after a while. */
function allTaken(page: Handing): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, LOOK_MS).unref()
    page.allTaken = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}
