// The name under which somebody acts stands in the audit log: no two who may act have the same.
import type { Transaction } from 'kysely'
import type { Schema } from '../schema.ts'
import { Conflict } from '../transact.ts'

/** Names that the service itself acts and keeps a token under. */
const OWN_NAMES: readonly string[] = ['system', 'admin.token']

/** Throws `operator_name_taken` where a token or certificate that is still accepted has the name. */
export async function assertNameFree(
  transaction: Transaction<Schema>,
  name: string,
  at: number,
): Promise<void> {
  const token = await transaction
    .selectFrom('api_tokens')
    .select('id')
    .where('name', '=', name)
    .where('revoked_at', 'is', null)
    .where(({ eb, or }) => or([eb('expires_at', 'is', null), eb('expires_at', '>', at)]))
    .executeTakeFirst()
  const certificate = await transaction
    .selectFrom('operator_certificates')
    .select('fingerprint')
    .where('name', '=', name)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', at)
    .executeTakeFirst()
  if (token === undefined && certificate === undefined && !OWN_NAMES.includes(name)) return
  throw new Conflict('operator_name_taken', `somebody acts under the name ${name} already`)
}
