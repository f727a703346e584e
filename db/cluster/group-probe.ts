// Whether PostgreSQL would take a group of a node, or a part of it: written and undone.
import type { PostgresClient } from '../replication/postgres.ts'
import { isAnswer } from '../replication/postgres-answers.ts'
import { type Group, NODE_ENDED, writeGroup } from './cluster-store.ts'

/**
 * Why PostgreSQL refuses it and would again; null where it does not. Nothing of the group stays, but the node counts as heard. Throws
 * where that cannot be learned, or the node was declared ended.
 */
export async function probeGroup(
  client: Pick<PostgresClient, 'query'>,
  me: number,
  group: Group,
): Promise<Error | null> {
  await client.query(
    'UPDATE rollcall_cluster.nodes SET heard_at = clock_timestamp() WHERE incarnation = $1 AND NOT ended',
    [me],
  )
  await client.query('BEGIN')
  const refusal = await writeGroup(client, me, group)
    .then(() => client.query('SET CONSTRAINTS ALL IMMEDIATE')) // as COMMIT would have them
    .then(
      () => null,
      (error: Error) => error,
    )
  if (refusal !== null && !isAnswer(refusal)) throw refusal
  await client.query('ROLLBACK')
  if (refusal !== null && isAnswer(refusal) && refusal.code === NODE_ENDED) throw refusal
  return refusal
}
