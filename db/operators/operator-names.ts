// An operator's name stands in the audit log: no two operators have the same name, whatever its case.
import type { Transaction } from 'kysely'
import type { Schema } from '../schema.ts'
import { Conflict } from '../transact.ts'
import { ADMIN_TOKEN_NAME, isReservedName } from './reserved-names.ts'

/** Throws `operator_name_taken` where the service acts under the name, or a token or certificate that is still accepted. */
export async function assertNameFree(
  transaction: Transaction<Schema>,
  name: string,
  at: number,
): Promise<void> {
  if (isReservedName(name) || name.toLowerCase() === ADMIN_TOKEN_NAME) {
    throw new Conflict(
      'operator_name_taken',
      `the name ${name} is reserved: the service itself acts under it`,
    )
  }
  const token = await transaction
    .selectFrom('api_tokens')
    .select('id')
    .where(({ eb, fn }) => eb(fn('lower', ['name']), '=', name.toLowerCase()))
    .where('revoked_at', 'is', null)
    .where(({ eb, or }) => or([eb('expires_at', 'is', null), eb('expires_at', '>', at)]))
    .executeTakeFirst()
  const certificate = await transaction
    .selectFrom('operator_certificates')
    .select('fingerprint')
    .where(({ eb, fn }) => eb(fn('lower', ['name']), '=', name.toLowerCase()))
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', at)
    .executeTakeFirst()
  if (token === undefined && certificate === undefined) return
  throw new Conflict('operator_name_taken', `somebody acts under the name ${name} already`)
}
