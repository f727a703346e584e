// What was changed under an Idempotency-Key: noted in the very transaction of the change, so that no crash separates them.
// `appendAudit` and `transact` call it; no verb needs to know.
import type { Transaction } from 'kysely'
import type { Schema } from './schema.ts'

/** A request that may be repeated: its caller, and hashes of the key and of the request. */
export type KeyedRequest = { holderId: string; keyHash: string; requestHash: string }

/** The last audit row written under a key, and the epoch its verb gave. */
export type KeyedChange = { action: string; target: string; epoch: number | null }

const keyedTransactions = new WeakMap<Transaction<Schema>, KeyedRequest>()

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
  const unanswered = { status: null, headers: null, body: null }
  await writeKeyed(transaction, request, at, { action, target, epoch: null, ...unanswered })
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
  await transaction
    .insertInto('idempotency_keys')
    .values({
      holder_id: holderId,
      key_hash: keyHash,
      ...{ action: null, target: null, epoch: null, status: null, headers: null, body: null },
      ...row,
    })
    .onConflict(conflict => conflict.columns(['holder_id', 'key_hash']).doUpdateSet(row))
    .execute()
}
