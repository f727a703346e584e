// What this node did in one group of its session store, written to PostgreSQL as one: the messages it published, what changed in the
// sessions it owns, how far it has taken the messages of others. Repeated until it is there, or until the node is declared ended; what
// PostgreSQL refuses for good is left out.
import type { ClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import { type Group, NODE_ENDED, type Positions, writeGroup } from '../../../db/cluster/cluster-store.ts'
import { probeGroup } from '../../../db/cluster/group-probe.ts'
import { isAnswer } from '../../../db/replication/postgres-answers.ts'
import type { RefusedMessages } from '../../../db/sessions/session-file.ts'
import type { SessionMirror } from '../../../db/sessions/session-mirror.ts'
import type { Logged } from './logged.ts'
import { type RefusedRow, retainedOf, withoutRefused } from './refused-rows.ts'

/** `versions` of what was retained, by topic. */
export type Written = { log: Logged[]; versions: ReadonlyMap<string, number> }

export type GroupWriter = ReturnType<typeof createGroupWriter>

const RETRY_MS = 100

export function createGroupWriter(parts: {
  me: number
  connections: ClusterConnections
  mirror: SessionMirror
  /** The fencing epoch of a session that this node owns; undefined of others, which are not written. */
  epochOf(clientId: string): number | undefined
  positions(): Positions
  clearedEpoch(): number
  /** The version of what is retained on this topic, as far as it is known here. */
  retainedVersion(topic: string): number
  isRetained(topic: string): boolean
  onWritten(written: Written): void
  /** Of a group that is in PostgreSQL, what is not. */
  onRefused(refused: readonly RefusedRow[]): void
  /** A group is in PostgreSQL, after so many ms, attempts that failed included. */
  onCommitted(ms: number): void
  onEnded(error: unknown): void
  onTrouble(error: unknown): void
}) {
  let log: Logged[] = []
  const changes = new Map<string, Group['put'][number] | Group['cut'][number]>()
  const ended = new Map<string, number>()
  /** Sessions whose log is being read: nothing of them is written before all is there, or it would be read again beside it. */
  const unsettled = new Set<string>()
  let unretained = new Set<string>()
  let settled: string[] = []
  let given: Group['given'] = []
  let held: Group['held'] = []
  let count = 0
  let groups = 0
  let isStopped = false

  /** Takes over what changed in the store, of the sessions that this node owns now. */
  function collect(): void {
    const found = parts.mirror.changes()
    // A session that ended first, then what came after it.
    for (const { clientId, kind } of found) {
      const epoch = kind === 'end' ? parts.epochOf(clientId) : undefined
      if (epoch !== undefined) ended.set(clientId, epoch)
    }
    for (const { clientId, content, ...row } of found) {
      if (row.kind === 'end') continue
      if (row.kind === 'retained') {
        if (content === null) unretained.add(row.name)
        continue
      }
      const epoch = parts.epochOf(clientId)
      if (epoch === undefined) continue
      const id = `${clientId}\0${row.kind}\0${row.key}\0${row.name}`
      changes.set(id, content === null ? { clientId, epoch, ...row } : { clientId, epoch, content, ...row })
    }
  }

  function reached(): Positions {
    return { ...parts.positions(), [parts.me]: count }
  }

  function take(): { group: Group; logged: Logged[] } {
    collect()
    const logged = log
    const waiting = [...changes].filter(([, { clientId }]) => unsettled.has(clientId))
    const all = [...changes.values()].filter(({ clientId }) => !unsettled.has(clientId))
    const heldEnds = [...ended].filter(([clientId]) => unsettled.has(clientId))
    for (const [clientId] of heldEnds) ended.delete(clientId)
    const retained = retainedOf(logged)
    const kept = new Set(retained.map(({ topic }) => topic))
    groups += 1
    const group: Group = {
      number: groups,
      positions: reached(),
      clearedEpoch: parts.clearedEpoch(),
      log: logged.map(({ number, bytes }) => ({ number, message: bytes })),
      put: all.filter(each => 'content' in each),
      cut: all.filter(each => !('content' in each)),
      ended: [...ended].map(([clientId, epoch]) => ({ clientId, epoch })),
      retained,
      unretained: [...unretained]
        .filter(topic => !kept.has(topic) && !parts.isRetained(topic))
        .map(topic => ({ topic, version: parts.retainedVersion(topic) })),
      settled,
      given,
      held,
    }
    log = []
    changes.clear()
    for (const [id, change] of waiting) changes.set(id, change)
    ended.clear()
    for (const [clientId, epoch] of heldEnds) ended.set(clientId, epoch)
    unretained = new Set()
    settled = []
    given = []
    held = []
    return { group, logged }
  }

  type Content = { group: Group; logged: Logged[] }

  /** Until it is there, but for what PostgreSQL refuses for good. */
  async function write(content: Content): Promise<{ written: Written; refused: RefusedRow[] }> {
    const refused: RefusedRow[] = []
    for (let { group, logged } = content; ; ) {
      try {
        const versions = await parts.connections.ask(client => writeGroup(client, parts.me, group))
        return { written: { log: logged, versions }, refused }
      } catch (error) {
        if (isEnd(error)) throw error
        parts.onTrouble(error)
        if (isStopped) throw error
        const rest = isAnswer(error) ? await takenOf({ group, logged }) : null
        if (rest !== null && rest.refused.length > 0) {
          ;({ group, logged } = rest)
          refused.push(...rest.refused)
        } else await new Promise(resolve => setTimeout(resolve, RETRY_MS))
      }
    }
  }

  /** Null where it is not known now. */
  async function takenOf(content: Content) {
    try {
      return await parts.connections.ask(client =>
        withoutRefused(content, group => probeGroup(client, parts.me, group)),
      )
    } catch (error) {
      if (isEnd(error)) throw error
      parts.onTrouble(error)
      return null
    }
  }

  function isEnd(error: unknown): boolean {
    const isEnded = isAnswer(error) && error.code === NODE_ENDED
    if (isEnded) parts.onEnded(error)
    return isEnded
  }

  return {
    collect,
    /** Numbers a message, and has it written with the group that is open. */
    publish(
      what: Pick<Logged, 'sequence' | 'topic' | 'isRetained' | 'isRemoval' | 'nodes'>,
      encode: (number: number) => Buffer,
    ): void {
      const bytes = encode(count + 1) // before it is counted: a number without a message would be a gap
      count += 1
      log.push({ ...what, number: count, bytes })
    },
    /** A session is this node's from now on. */
    hold: (clientId: string, epoch: number) => void held.push({ clientId, epoch }),
    /** A session was taken in, and what it missed is not there yet. */
    unsettle: (clientId: string) => void unsettled.add(clientId),
    /** What it missed cannot be read now: nothing of it is written. */
    abandon(clientId: string): void {
      collect()
      unsettled.delete(clientId)
      ended.delete(clientId)
      for (const [id, change] of changes) if (change.clientId === clientId) changes.delete(id)
    },
    settle(clientId: string): void {
      unsettled.delete(clientId)
      settled.push(clientId)
    },
    give: (clientId: string, to: number) => void given.push({ clientId, to, positions: reached() }),
    /** The number of the last message that this node published. */
    published: () => count,
    /** Resolves once all that was done before is in PostgreSQL, but for what was refused. Of one call at a time. */
    async sync(): Promise<RefusedMessages> {
      const content = take()
      const began = performance.now()
      const { written, refused } = await write(content)
      parts.onCommitted(performance.now() - began)
      parts.onWritten(written)
      if (refused.length > 0) parts.onRefused(refused)
      return new Map(
        refused.flatMap(({ message, error }) =>
          message?.sequence == null ? [] : [[message.sequence, error] as const],
        ),
      )
    },
    /** From now on nothing is tried again. */
    stop(): void {
      isStopped = true
    },
  }
}
