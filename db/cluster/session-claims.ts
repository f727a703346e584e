// The owner of a session: at first the node whose claim came first, and another one once that has ended.
import type { PostgresClient } from '../replication/postgres.ts'

type Ask = Pick<PostgresClient, 'query'>

export type Claim = { owner: number; epoch: number; isNew: boolean }

/**
 * Sessions that nobody had, or a node that has ended, are this node's from now on; gives the owner of each. Throws where this node was
 * declared ended.
 */
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
    text: `SELECT client_id AS "clientId", owner::float8 AS owner, epoch::float8 AS epoch, COALESCE(ended, false) AS "isOrphan",
        EXISTS (SELECT FROM rollcall_cluster.nodes WHERE incarnation = $2 AND NOT ended) AS "isMeThere"
      FROM rollcall_cluster.sessions LEFT JOIN rollcall_cluster.nodes ON incarnation = owner WHERE client_id = ANY ($1)`,
    values: [others, me],
  })
  for (const { clientId, owner, epoch } of rows) claims.set(clientId, { owner, epoch, isNew: false })
  if (rows.length < others.length || rows.some(({ isMeThere }) => !isMeThere))
    throw new Error('this node was declared ended')
  const orphans = rows.filter(({ isOrphan }) => isOrphan).map(({ clientId }) => clientId as string)
  if (orphans.length > 0)
    for (const { clientId, epoch } of await take(client, me, 'client_id = ANY ($2)', orphans))
      claims.set(clientId, { owner: me, epoch, isNew: false })
  return claims
}

/** Hands some sessions of an ended node to this one, and gives their clients. */
export async function takeOrphans(client: Ask, me: number, ended: number, limit: number): Promise<string[]> {
  const taken = await take(client, me, 'owner = $2', ended, limit)
  return taken.map(({ clientId }) => clientId)
}

/** Of nodes that have ended; what such a node had taken counts as theirs. */
async function take(
  client: Ask,
  me: number,
  which: string,
  value: number | readonly string[],
  limit: number | null = null,
): Promise<{ clientId: string; epoch: number }[]> {
  const { rows } = await client.query(
    `UPDATE rollcall_cluster.sessions s SET owner = $1, epoch = s.epoch + 1, settled = false,
       positions = CASE WHEN s.settled THEN rollcall_cluster.merged(s.positions, n.positions) ELSE s.positions END,
       cleared_epoch = CASE WHEN s.settled THEN n.cleared_epoch ELSE s.cleared_epoch END
     FROM rollcall_cluster.nodes n
     WHERE n.incarnation = s.owner AND n.ended AND s.client_id IN (
       SELECT client_id FROM rollcall_cluster.sessions WHERE ${which} LIMIT $3 FOR UPDATE SKIP LOCKED)
     RETURNING s.client_id AS "clientId", s.epoch::float8 AS epoch`,
    [me, value, limit],
  )
  return rows as { clientId: string; epoch: number }[]
}
