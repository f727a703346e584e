// Answers to requests with an Idempotency-Key, kept for a day beside the change that was made under the key.
// Knows no HTTP; the holder of a key is the authenticated caller.
import { ANSWER_KEPT_MS, type KeyedChange, type KeyedRequest, writeKeyed } from './keyed-changes.ts'
import type { Registry } from './open.ts'
import type { Schema } from './schema.ts'
import { transact, type Urgency } from './transact.ts'

export type KeptAnswer = { status: number; headers: Record<string, string>; body: string }
type KeyedOutcome = { requestHash: string; change: KeyedChange | null; answer: KeptAnswer | null }

export type IdempotencyStore = {
  /** What is known of a key, null where it is new or was forgotten. */
  findKeyed(request: Pick<KeyedRequest, 'holderId' | 'keyHash'>): KeyedOutcome | null
  keepAnswer(request: KeyedRequest, answer: KeptAnswer, urgency?: Urgency): Promise<void>
}

export function createIdempotencyStore(registry: Registry, now: () => number): IdempotencyStore {
  const { sqlite } = registry
  const byKey = sqlite.prepare<[string, string, number], Omit<Schema['idempotency_keys'], 'at'>>(
    `SELECT holder_id, key_hash, request_hash, action, target, epoch, status, headers, body
     FROM idempotency_keys WHERE holder_id = ? AND key_hash = ? AND at > ?`,
  )

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
        transaction =>
          writeKeyed(transaction, request, now(), { status, headers: JSON.stringify(headers), body }),
        urgency,
      ),
  }
}
