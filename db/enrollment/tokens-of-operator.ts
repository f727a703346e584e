// Unused enrollment tokens of an operator whose credential is revoked: they end with the credential, in its transaction.
import type { Transaction } from 'kysely'
import type { Schema } from '../schema.ts'

/** Revokes the open enrollment tokens that the operator of this name made; gives how many. */
export async function revokeTokensOf(
  transaction: Transaction<Schema>,
  operator: string,
  at: number,
): Promise<number> {
  const { numUpdatedRows } = await transaction
    .updateTable('enrollment_tokens')
    .set({ revoked_at: at })
    .where('created_by', '=', operator)
    .where('used_at', 'is', null)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', at)
    .executeTakeFirst()
  return Number(numUpdatedRows)
}
