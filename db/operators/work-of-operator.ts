// What an operator began and others would go on with ends with the operator's credential, in its transaction: open enrollment tokens, imports
// that have not ended, webhooks that it answers for. Claims stay, since devices are built with them: how many is on record.
import type { Transaction } from 'kysely'
import type { Actor } from '../audit/audit.ts'
import { revokeTokensOf } from '../enrollment/tokens-of-operator.ts'
import { cancelJobsOf } from '../jobs/jobs-of-operator.ts'
import type { Schema } from '../schema.ts'
import { disableWebhooksOf } from '../webhooks/webhooks-of-operator.ts'

/** Gives how many of each there were, for the audit row; none where there were none. */
export async function endWorkOf(
  transaction: Transaction<Schema>,
  operator: { name: string; kind: 'token' | 'certificate' },
  at: number,
  actor: Actor,
): Promise<{ enrollmentTokens?: number; jobs?: number; webhooks?: number; claimsLeft?: number }> {
  const enrollmentTokens = await revokeTokensOf(transaction, operator.name, at)
  const jobs = await cancelJobsOf(transaction, operator, at)
  const claimsLeft = await openClaimsOf(transaction, operator.name, at)
  const webhooks = await disableWebhooksOf(transaction, operator.name, at, actor)
  return {
    ...(enrollmentTokens > 0 && { enrollmentTokens }),
    ...(jobs > 0 && { jobs }),
    ...(webhooks > 0 && { webhooks }),
    ...(claimsLeft > 0 && { claimsLeft }),
  }
}

async function openClaimsOf(transaction: Transaction<Schema>, operator: string, at: number): Promise<number> {
  const { open } = await transaction
    .selectFrom('claims')
    .select(({ fn }) => fn.countAll<number>().as('open'))
    .where('created_by', '=', operator)
    .where('revoked_at', 'is', null)
    .where('not_after', '>', at)
    .executeTakeFirstOrThrow()
  return open
}
