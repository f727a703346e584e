// What a change of policies takes from one device: the filters it was allowed and no longer is, or only in part. Pure.
// Names every loss. It can name one too many: a filter that two allows still cover together, though neither does alone.
import { type BoundStatement, type QoS, refusingAll } from './binding.ts'
import { type Action, actions } from './document.ts'
import { createFilterIndex, type FilterIndex } from './filter-index.ts'
import type { TopicFilter } from './topic-filter.ts'

/** `extent` is `part` where a deny bites into what stays allowed, or where only a lower QoS is left. */
export type Loss = { action: Action; filter: string; extent: Extent }
type Extent = 'all' | 'part'

type Grant = { text: string; filter: TopicFilter; qosMax: QoS }
type Grants = { allow: Grant[]; deny: Grant[] }
type Lost = { filter: string; extent: Extent }

/** As many filters are compared in a step. */
const STEP_FILTERS = 64

/** What `after` no longer allows of what `before` did. Swap the two for what is won. */
export function lossesBetween(before: readonly BoundStatement[], after: readonly BoundStatement[]): Loss[] {
  const comparison = compareStatements(before, after)
  for (;;) {
    const { done, value } = comparison.next()
    if (done) return value
  }
}

/** As `lossesBetween`, in steps that each give how many filters were compared: a long comparison lets other work run in between. */
export function* compareStatements(
  before: readonly BoundStatement[],
  after: readonly BoundStatement[],
): Generator<number, Loss[]> {
  const losses: Loss[] = []
  const [had, has] = [refusingAll(before) ? [] : before, refusingAll(after) ? [] : after]
  // Most statements name several actions: those that the same statements speak of lose the same.
  const known = new Map<string, Lost[]>()
  for (const action of actions) {
    const [old, now] = [had, has].map(statements =>
      statements.filter(statement => speaksOf(statement, action)),
    )
    const byQos =
      (action === 'publish' || action === 'will') && [...old!, ...now!].some(({ qosMax }) => qosMax < 2)
    const name = [old!, now!]
      .map(statements => statements.map(({ policy, index }) => `${policy} ${index}`).join())
      .concat(byQos ? 'by QoS' : '')
      .join(' | ')
    const lost = known.get(name) ?? (yield* lostBetween(grantsOf(old!, byQos), grantsOf(now!, byQos)))
    known.set(name, lost)
    for (const one of lost) losses.push({ action, ...one })
  }
  return losses
}

function* lostBetween(had: Grants, has: Grants): Generator<number, Lost[]> {
  const lost: Lost[] = []
  const hadDeny = yield* indexOf(had.deny)
  const hasDeny = yield* indexOf(has.deny)
  const newDeny = createFilterIndex()
  for (const grants of inParts(has.deny)) {
    for (const { filter } of grants) if (hadDeny.covering(filter) < 0) newDeny.add(filter)
    yield grants.length
  }
  const kept = yield* keptBy(has.allow)
  let hasAllow: FilterIndex | null = null
  const seen = new Set<string>()
  for (const grants of inParts(had.allow)) {
    for (const { text, filter, qosMax } of grants) {
      const name = `${text} ${qosMax}`
      if (seen.has(name)) continue
      seen.add(name)
      if (hadDeny.covering(filter) >= 0) continue // it was worth nothing before
      if (hasDeny.covering(filter) >= 0) {
        lost.push({ filter: text, extent: 'all' })
        continue
      }
      if ((kept.get(text) ?? -1) < qosMax) {
        hasAllow ??= yield* indexOf(has.allow)
        const most = hasAllow.covering(filter)
        if (most < qosMax) {
          const whole = most < 0 && !hasAllow.overlapping(filter)
          lost.push({ filter: text, extent: whole ? 'all' : 'part' })
          continue
        }
      }
      if (newDeny.overlapping(filter)) lost.push({ filter: text, extent: 'part' })
    }
    yield grants.length
  }
  return lost
}

/** The highest QoS of what is allowed in the very same words. */
function* keptBy(allow: readonly Grant[]): Generator<number, Map<string, QoS>> {
  const kept = new Map<string, QoS>()
  for (const grants of inParts(allow)) {
    for (const { text, qosMax } of grants) if (qosMax >= (kept.get(text) ?? 0)) kept.set(text, qosMax)
    yield grants.length
  }
  return kept
}

function* indexOf(grants: readonly Grant[]): Generator<number, FilterIndex> {
  const index = createFilterIndex()
  for (const part of inParts(grants)) {
    for (const { filter, qosMax } of part) index.add(filter, qosMax)
    yield part.length
  }
  return index
}

function* inParts<One>(all: readonly One[]): Generator<readonly One[]> {
  for (let at = 0; at < all.length; at += STEP_FILTERS) yield all.slice(at, at + STEP_FILTERS)
}

/** As `rights.ts` has it: a right to subscribe is one to receive, and a deny of subscribing is one of receiving. */
function speaksOf({ actions: named }: BoundStatement, action: Action): boolean {
  return named.includes(action) || (action === 'receive' && named.includes('subscribe'))
}

/** Rights to subscribe, receive and retain hold for every QoS, whatever `qosMax` says. */
function grantsOf(statements: readonly BoundStatement[], byQos: boolean): Grants {
  const grants: Grants = { allow: [], deny: [] }
  for (const { effect, topics, qosMax } of statements) {
    for (const { bound, filter } of topics) {
      if (bound !== null && filter !== null)
        grants[effect].push({ text: bound, filter, qosMax: byQos ? qosMax : 2 })
    }
  }
  return grants
}
