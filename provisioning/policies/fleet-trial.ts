// A draft of a policy tried on every device: rights lost and gained, and which live subscriptions would be dropped.
// Work of any length, in steps; how much it may be in all, and how much an answer lists, is bounded here.

import type { PolicyReader } from '../../db/policies/policy-reader.ts'
import type { Attachment } from '../../db/policies/policy-store.ts'
import { type BoundStatement, isNarrower } from '../../policy/binding.ts'
import { compareStatements, type Loss } from '../../policy/comparison.ts'
import type { PolicyDocument } from '../../policy/document.ts'
import { noRights, rightsOf } from '../../policy/rights.ts'
import { Problem } from '../http/problem.ts'
import { policyProblems } from './policy-problems.ts'
import type { TrialResult } from './policy-schemas.ts'
import { bind, limitsIn, type PolicySnapshot, policiesThrough, policySnapshot } from './policy-snapshot.ts'

/** A change as it would be: the document, what it is attached to, or both. */
export type Draft = { name: string; document: PolicyDocument | null; attachments?: readonly Attachment[] }

type Item = TrialResult['items'][number]
type Steps<Result> = Generator<void, Result>

const DEVICES_AT_ONCE = 100
/** Sets of policies of which it is remembered whether they name variables. */
const VARIABLE_MAX = 1_000
/** Sets of policies whose comparison is remembered. */
const KNOWN_MAX = 16
/** Topic filters that are compared, counted for each device and each way: some 20 s of work. */
const COMPARISONS_MAX = 20_000_000
/** Filters that an answer names in all: some 1 MB of JSON. */
const FILTERS_LISTED_MAX = 10_000

export function* tryOnFleet(
  reader: PolicyReader,
  draft: Draft,
  limit: number,
  comparisonsMax = COMPARISONS_MAX,
): Steps<TrialResult> {
  const now = policySnapshot(reader)
  const after = drafted(now, draft)
  const compare = comparing(now, after)
  const result: TrialResult = {
    devicesTotal: 0,
    devicesLosing: 0,
    devicesGaining: 0,
    subscriptionsNoted: 0,
    subscriptionsLost: 0,
    nodesTotal: reader.nodesTotal(),
    items: [],
    truncated: false,
  }
  const gainers: Item[] = []
  const [listLoser, listGainer] = [
    filtersToList(FILTERS_LISTED_MAX / 2),
    filtersToList(FILTERS_LISTED_MAX / 2),
  ]
  let comparisons = 0
  let last = ''
  for (;;) {
    const ids = reader.deviceIds(last, DEVICES_AT_ONCE)
    for (const id of ids) {
      yield
      const item = yield* compareFor(id)
      if (item === null) continue
      const [losing, gaining] = [loses(item), gains(item)]
      if (losing) result.devicesLosing += 1
      if (gaining) result.devicesGaining += 1
      if (losing && result.items.length < limit) result.items.push(listLoser(item))
      else if (!losing && gaining && gainers.length < limit) gainers.push(listGainer(item))
    }
    if (ids.length < DEVICES_AT_ONCE) break
    last = ids.at(-1) ?? ''
  }
  result.truncated = result.devicesLosing > result.items.length
  result.items.push(...gainers.slice(0, limit - result.items.length))
  return result

  function* compareFor(deviceId: string): Steps<Item | null> {
    const holder = reader.holder(deviceId)
    if (holder === null) return null
    const [had, has] = [policiesThrough(now, holder), policiesThrough(after, holder)]
    if (!had.has(draft.name) && !has.has(draft.name)) return null
    result.devicesTotal += 1
    let bound: BoundStatement[] | null = null
    const then = function* (): Steps<BoundStatement[]> {
      bound ??= yield* bind(after.documents, has.keys(), holder)
      return bound
    }
    const before = () => bind(now.documents, had.keys(), holder)
    const { lost, gained } = yield* counted(compare([...had.keys()], [...has.keys()], before, then))
    const noted = reader.subscriptions(deviceId)
    const subscriptionsLost: string[] = []
    for (const { fingerprint, filters } of noted) {
      // A live session keeps the certificate it came with; a newer one may be on the roll by now.
      const same = fingerprint === holder.certificate?.fingerprint
      const theirs = same ? holder : (reader.holder(deviceId, fingerprint) ?? holder)
      const others = policiesThrough(after, theirs).keys()
      const statements = same ? yield* then() : yield* bind(after.documents, others, theirs)
      subscriptionsLost.push(...(yield* counted(refusedFilters(statements, filters))))
      result.subscriptionsNoted += filters.length
    }
    result.subscriptionsLost += subscriptionsLost.length
    return {
      deviceId,
      lost,
      gained,
      limits: changedLimits(had.keys(), has.keys()),
      complete: true,
      connected: noted.length > 0,
      subscriptionsLost,
      subscriptionsComplete: noted.every(({ complete }) => complete),
    }
  }

  /** Null where they stay. */
  function changedLimits(had: Iterable<string>, has: Iterable<string>): Item['limits'] {
    const limits = { now: limitsIn(now.documents, had), draft: limitsIn(after.documents, has) }
    const changed = isNarrower(limits.draft, limits.now) || isNarrower(limits.now, limits.draft)
    return changed ? limits : null
  }

  /** Each step says how many filters it compared. */
  function* counted<Result>(steps: Generator<number, Result>): Steps<Result> {
    for (;;) {
      const { done, value } = steps.next()
      if (done === true) return value
      comparisons += value
      if (comparisons > comparisonsMax)
        throw tooLarge(`it compares more than ${comparisonsMax} topic filters, counted over all devices`)
      yield
    }
  }
}

function loses({ lost, subscriptionsLost, limits }: Item): boolean {
  return (
    lost.length > 0 ||
    subscriptionsLost.length > 0 ||
    (limits !== null && isNarrower(limits.draft, limits.now))
  )
}

function gains({ gained, limits }: Item): boolean {
  return gained.length > 0 || (limits !== null && isNarrower(limits.now, limits.draft))
}

type Difference = { lost: Loss[]; gained: Loss[] }

/** Devices that hold the same policies differ alike where those name no variable: such a comparison is made once. */
function comparing(now: PolicySnapshot, after: PolicySnapshot) {
  const known = new Map<string, Difference>()
  const namesVariables = (names: readonly string[], { documents }: PolicySnapshot) =>
    names.some(name =>
      documents.get(name)?.statements.some(({ topics }) => topics.some(topic => topic.includes('${'))),
    )
  const variable = new Map<string, boolean>()
  return function* (
    had: readonly string[],
    has: readonly string[],
    boundBefore: () => Steps<BoundStatement[]>,
    boundThen: () => Steps<BoundStatement[]>,
  ): Generator<number, Difference> {
    const name = `${had.join()} ${has.join()}`
    let varies = variable.get(name)
    if (varies === undefined) {
      varies = namesVariables(had, now) || namesVariables(has, after)
      if (variable.size < VARIABLE_MAX) variable.set(name, varies)
    }
    const found = known.get(name)
    if (found !== undefined) return found
    const before = yield* uncounted(boundBefore())
    const then = yield* uncounted(boundThen())
    const lost = yield* compareStatements(before, then)
    const gained = yield* compareStatements(then, before)
    if (!varies && known.size < KNOWN_MAX) known.set(name, { lost, gained })
    return { lost, gained }
  }
}

/** Steps in which nothing is compared. */
function* uncounted<Result>(steps: Steps<Result>): Generator<number, Result> {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    yield 0
  }
}

/** The record as the draft would have it. */
function drafted(now: PolicySnapshot, { name, document, attachments }: Draft): PolicySnapshot {
  const get = (asked: string) => (asked === name && document !== null ? document : now.documents.get(asked))
  return {
    documents: { get },
    attached: attachments ? reattached(now.attached, name, attachments) : now.attached,
  }
}

/** Those of a session's subscriptions that the statements do not allow. Each is held against every statement. */
function* refusedFilters(
  statements: readonly BoundStatement[],
  filters: readonly string[],
): Generator<number, string[]> {
  if (filters.length === 0) return []
  const rights = rightsOf(statements) ?? noRights
  const topics = statements.reduce((sum, statement) => sum + statement.topics.length, 1)
  yield topics
  const refused: string[] = []
  for (const filter of filters) {
    if (!rights.subscribe(filter)) refused.push(filter)
    yield topics
  }
  return refused
}

/** Cuts what an answer names of each device, once it names as many filters as it may. */
function filtersToList(max: number): (item: Item) => Item {
  let left = max
  const take = <One extends Loss | string>(filters: One[]): One[] => {
    const taken = filters.slice(0, left)
    left -= taken.length
    return taken
  }
  return ({ lost, gained, subscriptionsLost, ...item }) => {
    const listed = {
      lost: take(lost),
      gained: take(gained),
      subscriptionsLost: take(subscriptionsLost),
    }
    const complete =
      listed.lost.length === lost.length &&
      listed.gained.length === gained.length &&
      listed.subscriptionsLost.length === subscriptionsLost.length
    return { ...item, ...listed, complete }
  }
}

export function tooLarge(why: string): Problem {
  const instead = 'try a document with fewer topics, fewer attachments, or a single device'
  return new Problem(policyProblems, 'trial_too_large', `the trial is too large: ${why}; ${instead}`)
}

/** The attachments of all policies with those of one replaced. */
function reattached(
  attached: PolicySnapshot['attached'],
  name: string,
  attachments: readonly Attachment[],
): Map<string, string[]> {
  const changed = new Map([...attached].map(([key, names]) => [key, names.filter(other => other !== name)]))
  for (const { kind, target } of attachments) {
    const key = `${kind} ${target}`
    changed.set(key, [...(changed.get(key) ?? []), name])
  }
  return changed
}
