// Import jobs act under the name of an operator for as long as they run: they end with that operator's credential, in the transaction that
// revokes it, and go on only while it is accepted.
import type { Transaction } from 'kysely'
import type { ActorKind } from '../audit-chain.ts'
import type { Registry } from '../open.ts'
import type { Schema } from '../schema.ts'
import { run } from '../statement.ts'

type Operator = { name: string; kind: ActorKind }

/** Cancels the jobs of this operator that have not ended; gives how many. */
export async function cancelJobsOf(
  transaction: Transaction<Schema>,
  { name, kind }: Operator,
  at: number,
): Promise<number> {
  return run(
    transaction,
    `UPDATE jobs SET state = 'cancelled', error = ?, finished_at = ?
     WHERE actor = ? AND actor_kind = ? AND state IN ('waiting', 'running')`,
    `the credential of ${name} was revoked: what was done before stays, the rest is left`,
    at,
    name,
    kind,
  )
}

/** Whether an operator of this name may import at this time, in ms since the epoch. */
export function prepareMayImport({ sqlite }: Registry): (operator: Operator, at: number) => boolean {
  const rights = "role IN ('operator', 'admin') AND scope_group IS NULL AND revoked_at IS NULL"
  const tables = { token: 'api_tokens', certificate: 'operator_certificates' }
  const prepare = (table: string) =>
    sqlite
      .prepare<[string, number], number>(
        `SELECT EXISTS (SELECT 1 FROM ${table} WHERE name = ? AND ${rights} AND (expires_at IS NULL OR expires_at > ?))`,
      )
      .pluck()
  const accepted = { token: prepare(tables.token), certificate: prepare(tables.certificate) }
  return ({ name, kind }, at) =>
    (kind !== 'token' && kind !== 'certificate') || accepted[kind].get(name, at) === 1
}
