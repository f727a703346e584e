// The keys of operators and of claims: no device may have one, and neither may have that of the other.
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

/** Throws where a public key is that of a claim: the key of a whole batch never identifies one device. */
export async function assertNoClaimKey(transaction: Transaction<Schema>, spkiHash: string): Promise<void> {
  const [claim] = await rowsOf(transaction, 'SELECT id FROM claims WHERE spki_hash = ?', spkiHash)
  if (claim === undefined) return
  throw new Conflict('public_key_taken', 'this public key belongs to a claim: generate a new key pair')
}
