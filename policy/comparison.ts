// What a change of policies takes from one device: the filters it was allowed and no longer is, or only in part. Pure.
// Names every loss. It can name one too many: a filter that two allows still cover together, though neither does alone.
import { type BoundStatement, type QoS, refusingAll } from './binding.ts'
import { type Action, actions } from './document.ts'
import { contains, overlaps, type TopicFilter } from './topic-filter.ts'

/** `extent` is `part` where a deny bites into what stays allowed, or where only a lower QoS is left. */
export type Loss = { action: Action; filter: string; extent: 'all' | 'part' }

type Grant = { text: string; filter: TopicFilter; qosMax: QoS }
type Grants = { allow: Grant[]; deny: Grant[] }

/** What `after` no longer allows of what `before` did. Swap the two for what is won. */
export function lossesBetween(before: readonly BoundStatement[], after: readonly BoundStatement[]): Loss[] {
  return actions.flatMap(action => {
    const [had, has] = [grantsOf(before, action), grantsOf(after, action)]
    return [...new Map(had.allow.map(grant => [`${grant.text} ${grant.qosMax}`, grant])).values()].flatMap(
      grant => lossOf(action, grant, had, has) ?? [],
    )
  })
}

function lossOf(action: Action, grant: Grant, had: Grants, has: Grants): Loss | null {
  const { text, filter } = grant
  if (had.deny.some(deny => contains(deny.filter, filter))) return null // it was worth nothing before
  const covering = has.allow.filter(allow => contains(allow.filter, filter))
  const denied = has.deny.some(deny => contains(deny.filter, filter))
  if (denied) return { action, filter: text, extent: 'all' }
  if (covering.length === 0) {
    const some = has.allow.some(allow => overlaps(allow.filter, filter))
    return { action, filter: text, extent: some ? 'part' : 'all' }
  }
  const lowered = !covering.some(allow => allow.qosMax >= grant.qosMax)
  const bitten = has.deny.some(
    deny => overlaps(deny.filter, filter) && !had.deny.some(old => contains(old.filter, deny.filter)),
  )
  return lowered || bitten ? { action, filter: text, extent: 'part' } : null
}

function grantsOf(statements: readonly BoundStatement[], action: Action): Grants {
  const grants: Grants = { allow: [], deny: [] }
  if (refusingAll(statements) !== null) return grants
  for (const statement of statements) {
    // As `rights.ts` has it: a right to subscribe is one to receive, and a deny of subscribing is one of receiving.
    const speaks =
      statement.actions.includes(action) || (action === 'receive' && statement.actions.includes('subscribe'))
    if (!speaks) continue
    for (const { bound, filter } of statement.topics) {
      if (bound !== null && filter !== null)
        grants[statement.effect].push({ text: bound, filter, qosMax: statement.qosMax })
    }
  }
  return grants
}
