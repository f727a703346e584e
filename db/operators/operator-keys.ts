// The keys of operators: no device and no claim may have one.
import type { Transaction } from 'kysely'
import type { Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'
import { Conflict } from '../transact.ts'

/** Triggers hold this for devices too; here it is a refusal that says why. */
export async function assertNoOperatorKey(transaction: Transaction<Schema>, spkiHash: string): Promise<void> {
  const [operator] = await rowsOf(
    transaction,
    'SELECT fingerprint FROM operator_certificates WHERE spki_hash = ?',
    spkiHash,
  )
  if (operator === undefined) return
  throw new Conflict('public_key_taken', 'this public key belongs to an operator: generate a new key pair')
}
