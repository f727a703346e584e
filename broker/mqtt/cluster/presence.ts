// Which nodes there are: each writes once a second that it lives; one that was silent for 5 s is declared ended by another that was not,
// and its sessions are taken over. What the bus did not bring is noticed here, too.
import type { ClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import {
  cleanLog,
  declareEnded,
  type NodeRow,
  readLogEnds,
  readNodes,
} from '../../../db/cluster/cluster-store.ts'
import type { Incoming } from './incoming.ts'

/** A node says so often that it lives, and is declared ended where it was silent for so long. */
export type PresenceTimes = { everyMs: number; silentMs: number }
const TIMES: PresenceTimes = { everyMs: 1_000, silentMs: 5_000 }
const CLEAN_EVERY = 5

export function startPresence(parts: {
  me: number
  times?: PresenceTimes | undefined
  connections: ClusterConnections
  incoming: Incoming
  /** Writes a group, empty or not. */
  beat(): void
  /** Has all nodes write the newest format that each knows. */
  agree(): Promise<void>
  adopt(ended: number): Promise<void>
  readLeft(): Promise<void>
  /** The nodes, this one among them, and those that have ended not long ago. */
  onNodes(nodes: readonly NodeRow[]): void
  /** What this node has taken is not in PostgreSQL any more: others do not have it. */
  onLost(error: Error): void
  onTrouble(error: unknown): void
}): { stop(): Promise<void> } {
  const { me, connections, incoming } = parts
  const { everyMs, silentMs } = parts.times ?? TIMES
  let ends: Record<string, number> = {}
  let steadySince: number | null = null
  let ticks = 0
  let running: Promise<void> = Promise.resolve()
  let isStopped = false
  let isBusy = false

  async function look(): Promise<void> {
    const taken = incoming.positions()
    const nodes = await connections.ask(readNodes)
    for (const { incarnation, name, positions } of nodes)
      if ((taken[incarnation] ?? 0) > (positions[incarnation] ?? 0))
        parts.onLost(new Error(`PostgreSQL has lost messages of ${name} that were taken here`))
    // What the log held a second ago should have come by now.
    for (const [node, last] of Object.entries(ends))
      if (Number(node) !== me) incoming.reaches(Number(node), last)
    ends = await connections.ask(readLogEnds)
    steadySince ??= performance.now()
    // After a pause of PostgreSQL all look silent: nobody is judged before each could say that it lives.
    const isSteady = performance.now() - steadySince > silentMs
    await parts.agree()
    parts.onNodes(nodes)
    for (const { incarnation, ended, ageMs } of nodes) {
      if (incarnation === me) continue
      const isSilent = !ended && isSteady && ageMs > silentMs
      if (isSilent) await connections.ask(client => declareEnded(client, incarnation, silentMs))
      if (ended || isSilent) {
        const last = ends[String(incarnation)] ?? 0
        incoming.reaches(incarnation, last)
        await parts.adopt(incarnation)
      }
    }
    await parts.readLeft()
    for (const node of Object.keys(incoming.positions()))
      if (!nodes.some(({ incarnation }) => incarnation === Number(node))) incoming.drop(Number(node))
    ticks += 1
    if (ticks % CLEAN_EVERY === 0) await connections.ask(cleanLog)
  }

  function tick(): void {
    parts.beat()
    if (isBusy) return
    isBusy = true
    running = look()
      .catch(error => {
        steadySince = null
        if (!isStopped) parts.onTrouble(error)
      })
      .finally(() => {
        isBusy = false
      })
  }

  const timer = setInterval(tick, everyMs)
  tick()
  return {
    async stop() {
      isStopped = true
      clearInterval(timer)
      await running
    },
  }
}
