// What an operator began and others would go on with ends with the operator's credential, in its transaction: open enrollment tokens, and
// imports that have not ended.
import type { Transaction } from 'kysely'
import { revokeTokensOf } from '../enrollment/tokens-of-operator.ts'
import { cancelJobsOf } from '../jobs/jobs-of-operator.ts'
import type { Schema } from '../schema.ts'

/** Gives how many of each there were, for the audit row; none where there were none. */
export async function endWorkOf(
  transaction: Transaction<Schema>,
  operator: { name: string; kind: 'token' | 'certificate' },
  at: number,
): Promise<{ enrollmentTokens?: number; jobs?: number }> {
  const enrollmentTokens = await revokeTokensOf(transaction, operator.name, at)
  const jobs = await cancelJobsOf(transaction, operator, at)
  return { ...(enrollmentTokens > 0 && { enrollmentTokens }), ...(jobs > 0 && { jobs }) }
}
