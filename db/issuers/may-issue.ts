// Whether a CA may sign for devices: asked in the transaction that puts on record what will be signed, so that none that was retired
// does, whichever service on whatever machine holds its key.
import type { Transaction } from 'kysely'
import type { Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'
import { Conflict } from '../transact.ts'

/** Throws `issuer_disabled`. */
export async function assertMayIssue(transaction: Transaction<Schema>, issuerId: string): Promise<void> {
  const [row] = await rowsOf<{ enabled: number }>(
    transaction,
    'SELECT enabled FROM issuers WHERE id = ?',
    issuerId,
  )
  if (row?.enabled === 0) throw new Conflict('issuer_disabled', `the CA ${issuerId} is disabled`)
}
