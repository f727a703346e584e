// Answers to requests with an Idempotency-Key, kept for a day beside the change that was made under the key.
// Knows no HTTP; the holder of a key is the authenticated caller.
import type { Transaction } from 'kysely'
import { type KeyedChange, type KeyedRequest, writeKeyed } from './keyed-changes.ts'
import type { Registry } from './open.ts'
import type { Schema } from './schema.ts'
import { run } from './statement.ts'
import { transact, type Urgency } from './transact.ts'

export type KeptAnswer = { status: number; headers: Record<string, string>; body: string }
type KeyedOutcome = { requestHash: string; change: KeyedChange | null; answer: KeptAnswer | null }

export type IdempotencyStore = {
  /** What is known of a key, null where it is new or was forgotten. */
  findKeyed(request: Pick<KeyedRequest, 'holderId' | 'keyHash'>): KeyedOutcome | null
  keepAnswer(request: KeyedRequest, answer: KeptAnswer, urgency?: Urgency): Promise<void>
}

/** How long an answer is kept. */
export const ANSWER_KEPT_MS = 24 * 60 * 60_000
/** The oldest go first. */
const ANSWERS_MAX = 100_000
/** Of one holder, so that nobody's push out those of others. */
const ANSWERS_EACH_MAX = 20_000
const PRUNED_EVERY = 256
/** More than come in between, so that none are left for long. */
const PRUNED_AT_ONCE = 1_024

export function createIdempotencyStore(
  registry: Registry,
  now: () => number,
  eachMax = ANSWERS_EACH_MAX,
): IdempotencyStore {
  const { sqlite } = registry
  const byKey = sqlite.prepare<[string, string, number], Omit<Schema['idempotency_keys'], 'at'>>(
    `SELECT holder_id, key_hash, request_hash, action, target, epoch, status, headers, body
     FROM idempotency_keys WHERE holder_id = ? AND key_hash = ? AND at > ?`,
  )
  let stored = 0

  return {
    findKeyed({ holderId, keyHash }) {
      const row = byKey.get(holderId, keyHash, now() - ANSWER_KEPT_MS)
      if (row === undefined) return null
      const { action, target, epoch, status, headers, body } = row
      return {
        requestHash: row.request_hash,
        change: action === null ? null : { action, target: target ?? '', epoch },
        answer: status === null ? null : { status, headers: JSON.parse(headers ?? '{}'), body: body ?? '' },
      }
    },

    keepAnswer: (request, { status, headers, body }, urgency = 'normal') =>
      transact(
        registry,
        async transaction => {
          stored += 1
          if (stored % PRUNED_EVERY === 1) {
            await prune(transaction, now())
            await pruneOf(transaction, request.holderId, eachMax)
          }
          await writeKeyed(transaction, request, now(), { status, headers: JSON.stringify(headers), body })
        },
        urgency,
      ),
  }
}

/** Forgets some of those that are over, so that no request waits for the end of thousands. */
async function prune(transaction: Transaction<Schema>, at: number): Promise<void> {
  const excess = await transaction
    .selectFrom('idempotency_keys')
    .select('at')
    .orderBy('at', 'desc')
    .offset(ANSWERS_MAX)
    .limit(1)
    .executeTakeFirst()
  await run(
    transaction,
    `DELETE FROM idempotency_keys WHERE rowid IN
       (SELECT rowid FROM idempotency_keys WHERE at <= ? ORDER BY at LIMIT ${PRUNED_AT_ONCE})`,
    Math.max(at - ANSWER_KEPT_MS, excess?.at ?? 0),
  )
}

/** Of one holder the oldest beyond what he may have. */
async function pruneOf(transaction: Transaction<Schema>, holderId: string, eachMax: number): Promise<void> {
  await run(
    transaction,
    `DELETE FROM idempotency_keys WHERE rowid IN
       (SELECT rowid FROM idempotency_keys WHERE holder_id = ? ORDER BY at DESC LIMIT ${PRUNED_AT_ONCE} OFFSET ?)`,
    holderId,
    eachMax,
  )
}
