// What was changed under an Idempotency-Key: noted in the very transaction of the change, so that no crash separates them.
// `appendAudit` and `transact` call it; no verb needs to know.
import type { Transaction } from 'kysely'
import type { Schema } from './schema.ts'
import { rowsOf, run } from './statement.ts'

/** How long a key, and the answer to its request, is kept. */
export const ANSWER_KEPT_MS = 24 * 60 * 60_000
/** The oldest go first. */
const KEYS_MAX = 100_000
/** Of one holder, so that nobody's push out those of others. */
const KEYS_EACH_MAX = 20_000
const PRUNED_EVERY = 256
/** More than come in between, so that none are left for long. */
const PRUNED_AT_ONCE = 1_024

/** A request that may be repeated: its caller, and hashes of the key and of the request. */
export type KeyedRequest = {
  holderId: string
  keyHash: string
  requestHash: string
  /** Whether the key was on record when the request came: its change was made, and its answer cannot be given again. */
  known?: boolean
}

/** The last audit row written under a key, and the epoch its verb gave. */
export type KeyedChange = { action: string; target: string; epoch: number | null }

const keyedTransactions = new WeakMap<Transaction<Schema>, KeyedRequest>()
/** Requests whose key is on record by what they did themselves, or will be once the transaction is. */
const spent = new WeakSet<KeyedRequest>()
const spending = new WeakMap<Transaction<Schema>, Set<KeyedRequest>>()

/** The key is on record by another request with it, which another process serves or has served. */
export class KeyTaken extends Error {
  override name = 'KeyTaken'
}

/** Called once a transaction is on record. */
export function keysSpent(transaction: Transaction<Schema>): void {
  for (const request of spending.get(transaction) ?? []) spent.add(request)
}

/** Called with every audit row whose actor sent a key: the key is spent in the transaction that changes something. */
export async function noteChange(
  transaction: Transaction<Schema>,
  request: KeyedRequest,
  at: number,
  { action, target }: { action: string; target: string },
): Promise<void> {
  // Nobody asked for an intent: where nothing comes of it, the request is served again.
  if (action === 'certificate.intend') return
  keyedTransactions.set(transaction, request)
  await assertUntaken(transaction, request, at)
  const unanswered = { status: null, headers: null, body: null }
  await writeKeyed(transaction, request, at, { action, target, epoch: null, ...unanswered })
}

/** On one machine the server lets no two requests with one key in; of another machine it cannot know. */
async function assertUntaken(
  transaction: Transaction<Schema>,
  request: KeyedRequest,
  at: number,
): Promise<void> {
  const own = spending.get(transaction) ?? new Set()
  spending.set(transaction, own)
  if (request.known !== true && !spent.has(request) && !own.has(request)) {
    const taken = await rowsOf(
      transaction,
      'SELECT 1 FROM idempotency_keys WHERE holder_id = ? AND key_hash = ? AND at > ?',
      request.holderId,
      request.keyHash,
      at - ANSWER_KEPT_MS,
    )
    if (taken.length > 0) throw new KeyTaken('another process serves a request with this Idempotency-Key')
  }
  own.add(request)
}

/** Runs a verb and notes the epoch it gives. Epochs alone are kept: what else a verb gives may be a secret. */
export async function keepingEpoch<T>(
  transaction: Transaction<Schema>,
  verb: (transaction: Transaction<Schema>) => Promise<T>,
): Promise<T> {
  // Verbs of other requests may have gone before in this transaction.
  keyedTransactions.delete(transaction)
  const given = await verb(transaction)
  const request = keyedTransactions.get(transaction)
  const epoch = epochOf(given)
  if (request === undefined || epoch === null) return given
  await transaction
    .updateTable('idempotency_keys')
    .set({ epoch })
    .where('holder_id', '=', request.holderId)
    .where('key_hash', '=', request.keyHash)
    .execute()
  return given
}

/** Verbs give the epoch of their change, alone or among other things. */
function epochOf(given: unknown): number | null {
  const epoch = typeof given === 'object' && given !== null && 'epoch' in given ? given.epoch : given
  return typeof epoch === 'number' ? epoch : null
}

export async function writeKeyed(
  transaction: Transaction<Schema>,
  { holderId, keyHash, requestHash }: KeyedRequest,
  at: number,
  known: Partial<Schema['idempotency_keys']>,
): Promise<void> {
  const row = { request_hash: requestHash, at, ...known }
  const { insertId } = await transaction
    .insertInto('idempotency_keys')
    .values({
      holder_id: holderId,
      key_hash: keyHash,
      ...{ action: null, target: null, epoch: null, status: null, headers: null, body: null },
      ...row,
    })
    .onConflict(conflict => conflict.columns(['holder_id', 'key_hash']).doUpdateSet(row))
    .executeTakeFirstOrThrow()
  // Row numbers go up by one, whichever verb writes: a row is never kept without the bound being looked at.
  if (Number(insertId) % PRUNED_EVERY !== 1) return
  await prune(transaction, at)
  await pruneOf(transaction, holderId)
}

/** Forgets some of those that are over, so that no request waits for the end of thousands. */
async function prune(transaction: Transaction<Schema>, at: number): Promise<void> {
  const excess = await transaction
    .selectFrom('idempotency_keys')
    .select('at')
    .orderBy('at', 'desc')
    .offset(KEYS_MAX)
    .limit(1)
    .executeTakeFirst()
  await run(
    transaction,
    `DELETE FROM idempotency_keys WHERE rowid IN
       (SELECT rowid FROM idempotency_keys WHERE at <= ? ORDER BY at LIMIT ${PRUNED_AT_ONCE})`,
    Math.max(at - ANSWER_KEPT_MS, excess?.at ?? 0),
  )
}

/** Of one holder the oldest beyond what one may have. */
async function pruneOf(transaction: Transaction<Schema>, holderId: string): Promise<void> {
  await run(
    transaction,
    `DELETE FROM idempotency_keys WHERE rowid IN
       (SELECT rowid FROM idempotency_keys WHERE holder_id = ? ORDER BY at DESC LIMIT ${PRUNED_AT_ONCE} OFFSET ?)`,
    holderId,
    KEYS_EACH_MAX,
  )
}
