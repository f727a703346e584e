// Webhooks of an operator whose credential is revoked: nothing more is sent where that operator said, until another one enables it.
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import type { Schema } from '../schema.ts'

const REASON = 'operator_revoked'

/** Disables the webhooks that the operator of this name answers for, each with its audit row; gives how many. */
export async function disableWebhooksOf(
  transaction: Transaction<Schema>,
  operator: string,
  at: number,
  actor: Actor,
): Promise<number> {
  const own = await transaction
    .selectFrom('webhooks')
    .select('id')
    .where('created_by', '=', operator)
    .where('disabled_at', 'is', null)
    .execute()
  for (const { id } of own) {
    const disabled = { disabled_at: at, disabled_reason: REASON }
    await transaction.updateTable('webhooks').set(disabled).where('id', '=', id).execute()
    await appendAudit(transaction, { at, actor, action: 'webhook.disable', target: id, reason: REASON })
  }
  return own.length
}
