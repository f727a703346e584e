// One row that PostgreSQL refuses must not hold up the others: what came with it is written, and it is told which one it was. Found by
// halving the group, with what is refused written nowhere.
import type { Group } from '../../../db/cluster/cluster-store.ts'
import type { Logged } from './logged.ts'

/** A message that this node published, with what is written for it; or else a row of a session. */
export type RefusedRow = {
  message: Logged | null
  row: Pick<Group['put'][number], 'clientId' | 'kind'> | null
  error: Error
}

type Unit = Omit<RefusedRow, 'error'> & { rows: ReadonlySet<object> }
type Content = { group: Group; logged: Logged[] }

/**
 * What PostgreSQL takes of a group that it has refused, and what it does not; null where it refuses even a group without messages and rows
 * of sessions: then none of these is to blame. `probe` gives why a group is refused, null where it is not, and throws where it is not known.
 */
export async function withoutRefused(
  { group, logged }: Content,
  probe: (group: Group) => Promise<Error | null>,
): Promise<(Content & { refused: RefusedRow[] }) | null> {
  const refused: RefusedRow[] = []
  const units = unitsOf(group, logged)
  const without = new Set<object>(units.flatMap(({ rows }) => [...rows]))
  const none = partOf(group, row => !without.has(row))
  if ((await probe(none)) !== null) return null
  const gone = new Set<object>()

  async function look(some: readonly Unit[]): Promise<void> {
    if (some.length === 0) return
    const rows = new Set(some.flatMap(unit => [...unit.rows]))
    const error = await probe(partOf(group, row => rows.has(row)))
    if (error === null) return
    if (some.length === 1) {
      const [{ message, row }] = some as [Unit]
      refused.push({ message, row, error })
      for (const each of rows) gone.add(each)
      return
    }
    const half = some.length >> 1
    await look(some.slice(0, half))
    await look(some.slice(half))
  }

  await look(units)
  const left = logged.filter(message => !refused.some(each => each.message === message))
  const part = partOf(group, row => !gone.has(row))
  return { group: { ...part, retained: retainedOf(left) }, logged: left, refused }
}

/** What is retained after these messages: the last one of each topic. */
export function retainedOf(logged: readonly Logged[]): Group['retained'] {
  const kept = new Map<string, Buffer | null>()
  for (const each of logged) if (each.isRetained) kept.set(each.topic, each.isRemoval ? null : each.bytes)
  return [...kept].map(([topic, message]) => ({ topic, message }))
}

/** A message goes with what it left in queues here: its publisher is told of all. */
function unitsOf(group: Group, logged: readonly Logged[]): Unit[] {
  const queued = new Map<number, object[]>()
  const rest: Unit[] = []
  const published = new Set(logged.map(({ sequence }) => sequence))
  for (const row of group.put) {
    const counter =
      row.kind === 'queued' ? (JSON.parse(row.content) as { counter: number }).counter : Number.NaN
    if (published.has(counter)) queued.set(counter, [...(queued.get(counter) ?? []), row])
    else rest.push({ message: null, row, rows: new Set([row]) })
  }
  const retained = new Map<object, object>()
  for (const row of group.retained) {
    const last = logged.findLast(({ isRetained, topic }) => isRetained && topic === row.topic)
    if (last !== undefined) retained.set(last, row)
  }
  const messages = logged.map((message, at): Unit => {
    const rows = [group.log[at], retained.get(message), ...(queued.get(message.sequence ?? Number.NaN) ?? [])]
    return { message, row: null, rows: new Set(rows.filter(row => row !== undefined)) }
  })
  return [...messages, ...rest]
}

function partOf(group: Group, has: (row: object) => boolean): Group {
  return {
    ...group,
    log: group.log.filter(has),
    put: group.put.filter(has),
    retained: group.retained.filter(has),
  }
}
