// The first owner of a session: the node whose claim came first.
import type { PostgresClient } from '../replication/postgres.ts'

type Ask = Pick<PostgresClient, 'query'>

export type Claim = { owner: number; epoch: number; isNew: boolean }

/** Sessions that nobody had are this node's from now on; gives the owner of each. Throws where this node was declared ended. */
export async function claimSessions(
  client: Ask,
  me: number,
  clientIds: readonly string[],
): Promise<Map<string, Claim>> {
  // In one order at all nodes: else two of them could wait for each other.
  const made = await client.query({
    name: 'claim_sessions',
    text: `INSERT INTO rollcall_cluster.sessions (client_id, owner)
      SELECT client_id, incarnation FROM rollcall_cluster.nodes, unnest($2::text[]) client_id
      WHERE incarnation = $1 AND NOT ended ORDER BY client_id
      ON CONFLICT DO NOTHING RETURNING client_id AS "clientId", epoch::float8 AS epoch`,
    values: [me, clientIds],
  })
  const claims = new Map<string, Claim>()
  for (const { clientId, epoch } of made.rows) claims.set(clientId, { owner: me, epoch, isNew: true })
  const others = clientIds.filter(clientId => !claims.has(clientId))
  if (others.length === 0) return claims
  const { rows } = await client.query({
    name: 'owners_of',
    text: `SELECT client_id AS "clientId", owner::float8 AS owner, epoch::float8 AS epoch
      FROM rollcall_cluster.sessions WHERE client_id = ANY ($1)`,
    values: [others],
  })
  for (const { clientId, owner, epoch } of rows) claims.set(clientId, { owner, epoch, isNew: false })
  if (clientIds.some(clientId => !claims.has(clientId))) throw new Error('this node was declared ended')
  return claims
}
