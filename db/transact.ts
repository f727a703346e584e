// How a registry verb runs: all or nothing, and on disk when it is answered. Verbs that come together share one immediate
// transaction and so one wait for the disk, each in a savepoint of its own; retried without blocking while the lock is held.
// Verbs that withdraw a right are urgent: they run before all others, with queue places of their own.
import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import { keepingEpoch, keysSpent } from './keyed-changes.ts'
import { assertSameFile, type GroupAgreement, type Registry } from './open.ts'
import { asRegistryError, isRefusedChange, RegistryError } from './registry-error.ts'
import type { Schema } from './schema.ts'
import { run, runsOn } from './statement.ts'

const LOCK_DEADLINE_MS = 3_000
/** On a machine that is busy one try takes as long as others need for a change each: the chance of each counts, and there must be some. */
const AGREEMENT_DEADLINE_MS = 20_000
const LOCK_RETRY_MS = 20
/** How long verbs may run before what they wrote is committed: nobody else is served meanwhile. */
const GROUP_MS = 10
/** Verbs that wait for their turn; each belongs to a request that was let in. */
const WAITING_MAX = 10_000
/** The same for urgent verbs. */
const URGENT_WAITING_MAX = 1_000

/** Why a change was refused although the registry works. `errors` of the API are made from it. */
export class Conflict<Code extends ConflictCode = ConflictCode> extends Error {
  readonly code: Code

  constructor(code: Code, message: string) {
    super(message)
    this.name = 'Conflict'
    this.code = code
  }
}

export type ConflictCode =
  | 'device_exists'
  | 'device_unknown'
  | 'device_state_forbids'
  | 'certificate_unknown'
  | 'certificate_exists'
  | 'certificate_status_forbids'
  | 'certificates_exceeded'
  | 'public_key_taken'
  | 'public_key_compromised'
  | 'issuer_unknown'
  | 'issuer_exists'
  | 'issuer_own'
  | 'issuer_disabled'
  | 'issuer_in_use'
  | 'issuer_certificate_unknown'
  | 'challenge_missing'
  | 'possession_unproven'
  | 'crl_outdated'
  | 'policy_unknown'
  | 'policy_attached'
  | 'policy_changed'
  | 'attachment_unknown'
  | 'token_unknown'
  | 'tokens_exceeded'
  | 'device_changed'
  | 'certificate_changed'
  | 'issuer_changed'
  | 'operator_unknown'
  | 'operator_exists'
  | 'operator_name_taken'
  | 'operators_exceeded'
  | 'node_unknown'
  | 'job_unknown'
  | 'job_finished'
  | 'jobs_exceeded'
  | 'webhook_unknown'
  | 'webhooks_exceeded'
  | 'tpm_refused'
  | 'endorsement_key_taken'
  | EnrollmentConflictCode

/** Why a token or a claim opens nothing, or not this. */
export type EnrollmentConflictCode =
  | 'enrollment_token_unknown'
  | 'enrollment_token_revoked'
  | 'enrollment_token_expired'
  | 'enrollment_token_exhausted'
  | 'enrollment_token_used'
  | 'claim_unknown'
  | 'claim_refused'
  | 'claim_exceeded'
  | 'claim_device_forbidden'
  | 'idevid_refused'

/** A verb that waits for its turn. `settle` is called once what it wrote is on disk, or will never be. */
type Verb = {
  urgency: Urgency
  work(transaction: Transaction<Schema>): Promise<unknown>
  resolve(result: unknown): void
  reject(error: unknown): void
}
type Outcome = { verb: Verb } & ({ result: unknown } | { error: unknown })

export type Urgency = 'urgent' | 'normal'
type Queue = Record<Urgency, Verb[]> & {
  /** So many groups are of one verb each: they were one that was refused, for a row of one of them. */
  alone: number
}

const queues = new WeakMap<Registry, Queue>()

/**
 * Runs the work as one change that is whole and on disk when the promise resolves. What withdraws a right is `urgent`.
 * @throws {RegistryError} `registry_busy` after 3 s of a locked registry or where too many verbs wait, `registry_full` on
 *   a full disk, `registry_missing` or `registry_replaced` where the file was removed or replaced, `registry_refused` where PostgreSQL takes no
 *   row like one of it
 * @throws {Conflict} where the work refuses; nothing is written then
 */
export function transact<T>(
  registry: Registry,
  work: (transaction: Transaction<Schema>) => Promise<T>,
  urgency: Urgency = 'normal',
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const verb: Verb = { work, urgency, resolve: result => resolve(result as T), reject }
    const running = queues.get(registry)
    const queue = running ?? { urgent: [], normal: [], alone: 0 }
    if (queue[urgency].length >= (urgency === 'urgent' ? URGENT_WAITING_MAX : WAITING_MAX)) {
      reject(new RegistryError('registry_busy', 'too many changes wait for the registry'))
      return
    }
    queue[urgency].push(verb)
    if (running !== undefined) return
    queues.set(registry, queue)
    void runAll(registry, queue)
  })
}

/** As `transact`, for what withdraws a right. */
export const transactUrgently: typeof transact = (registry, work) => transact(registry, work, 'urgent')

/** Never throws: each verb is told its own fate. */
async function runAll(registry: Registry, queue: Queue): Promise<void> {
  do {
    // Whatever arrives in one turn of the event loop goes together.
    await setImmediate()
    const { alone } = queue
    await runGroup(registry, queue)
    if (alone > 0) queue.alone = alone - 1
  } while (queue.urgent.length > 0 || queue.normal.length > 0)
  queues.delete(registry)
}

async function runGroup(registry: Registry, queue: Queue): Promise<void> {
  const began = performance.now()
  let outdated = 0
  for (;;) {
    const taken: Verb[] = []
    const outcomes: Outcome[] = []
    try {
      assertSameFile(registry)
      const { agreement } = registry
      const isPart =
        agreement === undefined
          ? await committed(registry, transaction => runVerbs(transaction, queue, taken, outcomes))
          : await agreed(registry, agreement, outcomes, transaction =>
              runVerbs(transaction, queue, taken, outcomes),
            )
      if (!isPart) {
        outdated += 1
        const seconds = Math.round((performance.now() - began) / 1_000)
        const tries = `${outdated} tries in ${seconds} s`
        throw new RegistryError('registry_busy', `other processes keep changing the registry (${tries})`)
      }
      assertSameFile(registry) // nothing is acknowledged that went into a file without a name
      for (const outcome of outcomes) {
        if ('error' in outcome) outcome.verb.reject(asRegistryError(outcome.error))
        else outcome.verb.resolve(outcome.result)
      }
      return
    } catch (error) {
      const translated = asRegistryError(error)
      const busy = translated instanceof RegistryError && translated.code === 'registry_busy'
      if (isRefusedChange(translated) && taken.length > 1) {
        for (const verb of taken.toReversed()) queue[verb.urgency].unshift(verb)
        queue.alone = taken.length
        return
      }
      const isLate = performance.now() - began >= (outdated > 0 ? AGREEMENT_DEADLINE_MS : LOCK_DEADLINE_MS)
      if (!busy || isLate) {
        // What was not taken fails for the same reason, if it does, when its turn comes.
        if (taken.length === 0) taken.push(...[take(queue)].filter(verb => verb !== undefined))
        for (const verb of taken) verb.reject(translated)
        return
      }
      for (const verb of taken.toReversed()) queue[verb.urgency].unshift(verb)
      if (registry.agreement === undefined || outcomes.length === 0) await setTimeout(LOCK_RETRY_MS)
    }
  }
}

type Work = (transaction: Transaction<Schema>) => Promise<void>

async function committed(registry: Registry, work: Work): Promise<true> {
  let spending: Transaction<Schema> | null = null
  await registry.query.transaction().execute(transaction => {
    runsOn(transaction, registry.sqlite)
    spending = transaction
    return work(transaction)
  })
  if (spending !== null) keysSpent(spending)
  return true
}

/**
 * The verbs run on the replica and are undone there before any other turn of the event loop; once they are part of the registry, what
 * they changed is written into the replica like the changes of others. False where others were first: the replica is in step again.
 */
async function agreed(
  registry: Registry,
  agreement: GroupAgreement,
  outcomes: readonly Outcome[],
  work: Work,
): Promise<boolean> {
  const transaction = await registry.query.startTransaction().execute()
  const proposal = await Promise.try(async () => {
    runsOn(transaction, registry.sqlite)
    agreement.begin()
    await work(transaction)
    return agreement.proposal()
  }).finally(() => transaction.rollback().execute())
  const refused = outcomes.some(outcome => 'error' in outcome)
  const isPart = (await agreement.settle(proposal, refused)) === 'agreed'
  if (isPart) keysSpent(transaction)
  return isPart
}

function take(queue: Queue): Verb | undefined {
  return queue.urgent.shift() ?? queue.normal.shift()
}

/** Takes verbs and runs them until the time is up; what one throws undoes what that one did. */
async function runVerbs(
  transaction: Transaction<Schema>,
  queue: Queue,
  taken: Verb[],
  outcomes: Outcome[],
): Promise<void> {
  const end = performance.now() + GROUP_MS
  const isAlone = queue.alone > 0
  while (outcomes.length === 0 || (!isAlone && performance.now() < end)) {
    const verb = take(queue)
    if (verb === undefined) return
    taken.push(verb)
    await run(transaction, 'savepoint verb')
    try {
      outcomes.push({ verb, result: await keepingEpoch(transaction, verb.work) })
    } catch (error) {
      outcomes.push({ verb, error })
      // On a full disk SQLite has rolled everything back: then this throws, and all of the group learn why.
      if (isOutage(error)) throw error
      await run(transaction, 'rollback to verb')
    }
    await run(transaction, 'release verb')
  }
}

function isOutage(error: unknown): boolean {
  return asRegistryError(error) !== error
}
