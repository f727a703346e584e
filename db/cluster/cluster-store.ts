// The verbs of a broker node on what nodes share in PostgreSQL. Each is one transaction. Knows no MQTT: messages are bytes.

import type { PostgresClient } from '../replication/postgres.ts'
import { prepareTables } from '../replication/postgres-tables.ts'
import type { SessionContent } from '../sessions/session-mirror.ts'
import { assertFormats, FORMATS } from './formats.ts'
import { clusterTables } from './schema.ts'

/** How far each publisher node's messages were taken, by its incarnation. */
export type Positions = Record<string, number>

export type Joined = {
  incarnation: number
  /** No two nodes that are not ended have the same one; below `SLOTS`. */
  slot: number
  positions: Positions
  /** What a change of the registry up to this epoch clears of what is stored, some node has cleared. */
  clearedEpoch: number
  /** The same for all nodes on this database, for no other; `format` is what all of them write. */
  cluster: string
  format: number
}
export type NodeRow = {
  incarnation: number
  name: string
  ended: boolean
  ageMs: number
  positions: Positions
  clearedEpoch: number
}
export type LogRow = { number: number; message: Buffer }
/**
 * A session that was handed to this node. Its log is to be read from `positions` on, and what the registry clears from `clearedEpoch` on.
 */
export type HandedOver = {
  clientId: string
  epoch: number
  positions: Positions
  clearedEpoch: number
  /** What it holds, as far as that may be much. */
  bytes: number
}

export type Group = {
  /** Counted by the node from 1: one that is written after a later one is refused, and so is one whose predecessor is not there. */
  number: number
  positions: Positions
  clearedEpoch: number
  log: LogRow[]
  put: (SessionContent & { clientId: string; epoch: number })[]
  cut: (Pick<SessionContent, 'kind' | 'key' | 'name'> & { clientId: string; epoch: number })[]
  /** A message of null is removed by its publisher. */
  retained: { topic: string; message: Buffer | null }[]
  /** Gone without anybody's word, such as by its expiry: unless it is newer than this version. */
  unretained: { topic: string; version: number }[]
  /** Sessions that ended: their rows, subscriptions and queues go before others are put. */
  ended: { clientId: string; epoch: number }[]
  settled: string[]
  /** With the positions up to which these sessions have all: the node may have gone on since. */
  given: { clientId: string; to: number; positions: Positions }[]
  /** Sessions that became this node's since its last group. */
  held: { clientId: string; epoch: number }[]
}

export const SLOTS = 64
/** Of PostgreSQL: the node was declared ended, and nothing that it writes counts any more. */
export const NODE_ENDED = 'RC001'

type Ask = Pick<PostgresClient, 'query'>

/** Makes what is not there yet. Any number of nodes may at once. @throws {RegistryError} where a newer version has made it */
export async function prepareCluster(client: Ask, tables = clusterTables): Promise<void> {
  await prepareTables(client, tables)
}

/** A new life of the node of this name; an earlier one is ended by it. Throws where it does not go together with the others. */
export async function joinCluster(client: Ask, name: string, formats = FORMATS): Promise<Joined> {
  return await inTransaction(client, async () => {
    await client.query('SELECT pg_advisory_xact_lock(4711002)')
    const format = await assertFormats(client, formats)
    await client.query('UPDATE rollcall_cluster.nodes SET ended = true WHERE name = $1', [name])
    const { rows } = await client.query(
      `WITH free AS (
         SELECT min(n) AS slot FROM generate_series(0, ${SLOTS - 1}) n
         WHERE n NOT IN (SELECT slot FROM rollcall_cluster.nodes WHERE NOT ended)),
       ends AS (SELECT COALESCE(jsonb_object_agg(publisher, number), '{}') AS positions
         FROM (SELECT publisher, max(number) AS number FROM rollcall_cluster.log GROUP BY publisher) l)
       INSERT INTO rollcall_cluster.nodes (name, slot, positions, newest_format) SELECT $1, slot, positions, $2 FROM free, ends
       RETURNING incarnation::float8 AS incarnation, slot, positions, (SELECT id FROM rollcall_cluster.cluster) AS cluster,
         greatest((SELECT max(cleared_epoch) FROM rollcall_cluster.nodes),
           (SELECT max(cleared_epoch) FROM rollcall_cluster.cluster))::float8 AS "clearedEpoch"`,
      [name, formats.newest],
    )
    return { ...rows[0], format } as Joined
  })
}

/** Writes a group of a node: all of it, or an error of the code `NODE_ENDED`, also where what it wrote before is lost. Again, it changes nothing. Gives versions by topic. */
export async function writeGroup(client: Ask, me: number, group: Group): Promise<Map<string, number>> {
  const { log, put, cut, retained, unretained, given } = group
  const { rows } = await client.query({
    name: 'write_group',
    text: `SELECT kept_topic AS topic, kept_version::float8 AS version FROM rollcall_cluster.write_group(
      $1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25,$26,$27,$28,$29,$30,$31)`,
    values: [
      ...[me, group.number, JSON.stringify(group.positions), group.clearedEpoch],
      ...[log.map(l => l.number), log.map(l => l.message)],
      ...[
        put.map(p => p.clientId),
        put.map(p => p.epoch),
        put.map(p => p.kind),
        put.map(p => p.key),
        put.map(p => p.name),
      ],
      ...[put.map(p => p.content), put.map(p => p.payload), put.map(p => p.properties)],
      ...[
        cut.map(c => c.clientId),
        cut.map(c => c.epoch),
        cut.map(c => c.kind),
        cut.map(c => c.key),
        cut.map(c => c.name),
      ],
      ...[retained.map(r => r.topic), retained.map(r => r.message)],
      ...[unretained.map(u => u.topic), unretained.map(u => u.version)],
      ...[group.ended.map(e => e.clientId), group.ended.map(e => e.epoch)],
      ...[group.settled, given.map(g => g.clientId), given.map(g => g.to)],
      given.map(g => JSON.stringify(g.positions)),
      ...[group.held.map(h => h.clientId), group.held.map(h => h.epoch)],
    ],
  })
  return new Map(rows.map(({ topic, version }) => [topic as string, version as number]))
}

/** Messages of a publisher node in its order, after a number and up to another. */
export async function readLog(
  client: Ask,
  publisher: number,
  after: number,
  upTo: number,
  limit: number,
): Promise<LogRow[]> {
  const { rows } = await client.query({
    name: 'read_log',
    text: `SELECT number::float8 AS number, message FROM rollcall_cluster.log
      WHERE publisher = $1 AND number > $2 AND number <= $3 ORDER BY number LIMIT $4`,
    values: [publisher, after, upTo, limit],
  })
  return rows as LogRow[]
}

/** The last number of each publisher node in the log. */
export async function readLogEnds(client: Ask): Promise<Positions> {
  const { rows } = await client.query(
    `SELECT incarnation::text AS publisher, number::float8 AS number FROM rollcall_cluster.nodes, LATERAL (
       SELECT number FROM rollcall_cluster.log WHERE publisher = incarnation ORDER BY number DESC LIMIT 1) l`,
  )
  return Object.fromEntries(rows.map(({ publisher, number }) => [publisher as string, number as number]))
}

/** All nodes that are not ended, and those ended whose sessions are not with others yet. */
export async function readNodes(client: Ask): Promise<NodeRow[]> {
  const { rows } = await client.query(
    `SELECT incarnation::float8 AS incarnation, name, ended, positions, cleared_epoch::float8 AS "clearedEpoch",
       (extract(epoch FROM clock_timestamp() - heard_at) * 1000)::float8 AS "ageMs" FROM rollcall_cluster.nodes`,
  )
  return rows as NodeRow[]
}

/** Declares a node ended that was not heard of for so long. From then on nothing that it writes counts. Gives whether it is. */
export async function declareEnded(client: Ask, incarnation: number, silentMs: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE rollcall_cluster.nodes SET ended = true
     WHERE incarnation = $1 AND NOT ended AND heard_at < clock_timestamp() - make_interval(secs => $2::float8 / 1000)`,
    [incarnation, silentMs],
  )
  return rowCount === 1
}

/** A node's own word that it ends, after its last group. */
export async function leaveCluster(client: Ask, incarnation: number): Promise<void> {
  await client.query('UPDATE rollcall_cluster.nodes SET ended = true WHERE incarnation = $1', [incarnation])
}

/** Clients whose sessions were handed to this node and are not read yet. */
export async function readUnsettled(client: Ask, me: number, limit: number): Promise<string[]> {
  const { rows } = await client.query(
    'SELECT client_id AS "clientId" FROM rollcall_cluster.sessions WHERE owner = $1 AND NOT settled LIMIT $2',
    [me, limit],
  )
  return rows.map(({ clientId }) => clientId as string)
}

/** Those of these sessions that are this node's. */
export async function readHandedOver(
  client: Ask,
  me: number,
  clientIds: readonly string[],
): Promise<HandedOver[]> {
  const { rows } = await client.query({
    name: 'read_handed_over',
    text: `SELECT s.client_id AS "clientId", s.epoch::float8 AS epoch, s.positions, s.cleared_epoch::float8 AS "clearedEpoch", r.bytes
      FROM unnest($1::text[]) c(client_id) JOIN rollcall_cluster.sessions s ON s.client_id = c.client_id AND s.owner = $2,
      LATERAL (SELECT COALESCE(sum(octet_length(payload) + COALESCE(octet_length(properties), 0)), 0)::float8 AS bytes
        FROM rollcall_cluster.session_rows WHERE client_id = c.client_id) r`,
    values: [clientIds, me],
  })
  return rows as HandedOver[]
}

/** The content of sessions, by client. */
export async function readContent(
  client: Ask,
  clientIds: readonly string[],
): Promise<Map<string, SessionContent[]>> {
  // One by one: without statistics PostgreSQL takes a list of clients for half of all rows.
  const { rows } = await client.query({
    name: 'read_content',
    text: `SELECT c.client_id AS "clientId", kind, key::float8 AS key, name, content, payload, properties
      FROM unnest($1::text[]) c(client_id), LATERAL (SELECT kind, key, name, content, payload, properties
        FROM rollcall_cluster.session_rows WHERE client_id = c.client_id ORDER BY kind, key) r`,
    values: [clientIds],
  })
  const content = new Map(clientIds.map(clientId => [clientId, [] as SessionContent[]]))
  for (const { clientId, ...row } of rows) content.get(clientId as string)?.push(row as SessionContent)
  return content
}

export type StoredGroups = { node: number; hasEnded: boolean; groups: string[] }

/** Shared subscriptions of stored sessions, as they were asked for, by the node that has the sessions. */
export async function readStoredGroups(client: Ask): Promise<StoredGroups[]> {
  const { rows } = await client.query(
    `SELECT n.incarnation::float8 AS node, n.ended AS "hasEnded", array_agg(DISTINCT r.name) AS groups
     FROM rollcall_cluster.session_rows r JOIN rollcall_cluster.sessions s USING (client_id)
       JOIN rollcall_cluster.nodes n ON n.incarnation = s.owner
     WHERE r.kind = 'subscription' AND r.name LIKE '$share/%' GROUP BY n.incarnation`,
  )
  return rows as StoredGroups[]
}

export type RetainedState = { topic: string; version: number; message: Buffer | null }

/** What is retained on these topics, or on all. */
export async function readRetained(client: Ask, topics: readonly string[] | null): Promise<RetainedState[]> {
  const { rows } = await client.query(
    `SELECT topic, version::float8 AS version, message FROM rollcall_cluster.retained
     WHERE $1::text[] IS NULL OR topic = ANY ($1)`,
    [topics],
  )
  return rows as RetainedState[]
}

/**
 * Deletes of the log what all nodes have taken, and ended nodes that have neither sessions nor messages left. Nothing while a session
 * is on its way from one node to another.
 */
export async function cleanLog(client: Ask): Promise<void> {
  await client.query(
    `WITH taken AS (
       SELECT p.incarnation AS publisher, min(COALESCE((r.positions ->> p.incarnation::text)::bigint, 0)) AS number
       FROM rollcall_cluster.nodes p, rollcall_cluster.nodes r GROUP BY p.incarnation)
     DELETE FROM rollcall_cluster.log l USING taken
     WHERE l.publisher = taken.publisher AND l.number <= taken.number
       AND NOT EXISTS (SELECT FROM rollcall_cluster.sessions WHERE NOT settled)`,
  )
  await client.query(
    `UPDATE rollcall_cluster.cluster SET cleared_epoch = e.epoch FROM (SELECT max(cleared_epoch) AS epoch FROM rollcall_cluster.nodes) e
     WHERE e.epoch > cleared_epoch`,
  )
  await client.query(
    `DELETE FROM rollcall_cluster.nodes n WHERE ended AND heard_at < clock_timestamp() - interval '30 s'
       AND NOT EXISTS (SELECT FROM rollcall_cluster.sessions WHERE owner = n.incarnation)
       AND NOT EXISTS (SELECT FROM rollcall_cluster.nodes r WHERE NOT r.ended AND COALESCE((r.positions ->> n.incarnation::text)::bigint, 0) <
         COALESCE((SELECT max(number) FROM rollcall_cluster.log WHERE publisher = n.incarnation), 0))`,
  )
  await client.query(
    `DELETE FROM rollcall_cluster.log l WHERE NOT EXISTS (SELECT FROM rollcall_cluster.nodes WHERE incarnation = l.publisher)`,
  )
  await client.query(
    `DELETE FROM rollcall_cluster.retained WHERE message IS NULL AND removed_at < clock_timestamp() - interval '1 hour'`,
  )
}

async function inTransaction<Result>(client: Ask, work: () => Promise<Result>): Promise<Result> {
  await client.query('BEGIN')
  try {
    const result = await work()
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}
