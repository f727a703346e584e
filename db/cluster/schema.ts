// What the broker nodes of several machines share in PostgreSQL: presence, the message log, ownership and content of sessions, retained
// messages. One function writes what a node did in one group, or nothing of it where the node was declared ended meanwhile.

import type { PostgresTables } from '../replication/postgres-tables.ts'

/** Nodes are told apart by this number: each life of a process has one of its own, greater than all before. */
const version1 = `
SET LOCAL search_path = rollcall_cluster;
CREATE TABLE IF NOT EXISTS cluster (id text NOT NULL, cleared_epoch bigint NOT NULL DEFAULT 0);
INSERT INTO cluster (id) SELECT encode(substring(sha256(gen_random_uuid()::text::bytea) for 8), 'hex')
  WHERE NOT EXISTS (SELECT FROM cluster);
CREATE TABLE IF NOT EXISTS nodes (
  incarnation bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  slot integer NOT NULL,
  heard_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended boolean NOT NULL DEFAULT false,
  positions jsonb NOT NULL,
  cleared_epoch bigint NOT NULL DEFAULT 0,
  last_group bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS log (
  publisher bigint NOT NULL,
  number bigint NOT NULL,
  message bytea NOT NULL,
  PRIMARY KEY (publisher, number)
);
CREATE TABLE IF NOT EXISTS sessions (
  client_id text PRIMARY KEY,
  owner bigint NOT NULL,
  epoch bigint NOT NULL DEFAULT 1,
  settled boolean NOT NULL DEFAULT true,
  positions jsonb NOT NULL DEFAULT '{}',
  cleared_epoch bigint NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS sessions_by_owner ON sessions (owner);
CREATE INDEX IF NOT EXISTS sessions_unsettled ON sessions (owner) WHERE NOT settled;
CREATE TABLE IF NOT EXISTS session_rows (
  client_id text NOT NULL,
  kind text NOT NULL,
  key bigint NOT NULL,
  name text NOT NULL,
  content text NOT NULL,
  payload bytea,
  properties bytea,
  PRIMARY KEY (client_id, kind, key, name)
);
CREATE TABLE IF NOT EXISTS retained (
  topic text PRIMARY KEY,
  version bigint NOT NULL,
  message bytea,
  removed_at timestamptz
);
CREATE SEQUENCE IF NOT EXISTS retained_version;

CREATE OR REPLACE FUNCTION merged(one jsonb, other jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT COALESCE(jsonb_object_agg(key, value), '{}') FROM (
    SELECT key, max(value::bigint) AS value FROM (SELECT * FROM jsonb_each_text(one) UNION ALL SELECT * FROM jsonb_each_text(other)) b
    GROUP BY key) m
$$;
`

/** The one that counts the groups of a node, and looks whether what it has done before is there. */
const version2 = `
SET LOCAL search_path = rollcall_cluster;
DROP FUNCTION IF EXISTS write_group;
CREATE FUNCTION write_group(
  me bigint, group_number bigint, reached jsonb, cleared bigint,
  log_numbers bigint[], log_messages bytea[],
  put_clients text[], put_epochs bigint[], put_kinds text[], put_keys bigint[], put_names text[], put_contents text[],
  put_payloads bytea[], put_properties bytea[],
  cut_clients text[], cut_epochs bigint[], cut_kinds text[], cut_keys bigint[], cut_names text[],
  kept_topics text[], kept_messages bytea[], removed_topics text[], removed_versions bigint[],
  ended_clients text[], ended_epochs bigint[],
  settled_clients text[], given_clients text[], given_to bigint[], given_positions text[],
  held_clients text[], held_epochs bigint[]
) RETURNS TABLE (kept_topic text, kept_version bigint)
LANGUAGE plpgsql SET search_path = rollcall_cluster AS $$
BEGIN
  -- A try whose connection was given up may still run: then it comes too late, and changes nothing.
  UPDATE nodes SET heard_at = clock_timestamp(), positions = reached, cleared_epoch = cleared, last_group = group_number
    WHERE incarnation = me AND NOT ended AND last_group BETWEEN group_number - 1 AND group_number;
  IF NOT FOUND THEN
    IF EXISTS (SELECT FROM nodes WHERE incarnation = me AND NOT ended AND last_group < group_number) THEN
      RAISE EXCEPTION 'PostgreSQL has lost what node % wrote last', me USING ERRCODE = 'RC001';
    END IF;
    RAISE EXCEPTION 'node % was declared ended', me USING ERRCODE = 'RC001';
  END IF;
  -- What became this node's since its last group. Given away with this one, it may be the other's already.
  IF EXISTS (
    SELECT FROM unnest(held_clients, held_epochs) h(client_id, epoch) WHERE h.client_id <> ALL (given_clients)
      AND NOT EXISTS (SELECT FROM sessions s WHERE s.client_id = h.client_id AND s.owner = me AND s.epoch = h.epoch))
  THEN RAISE EXCEPTION 'PostgreSQL has lost that node % has a session', me USING ERRCODE = 'RC001'; END IF;
  INSERT INTO log SELECT me, * FROM unnest(log_numbers, log_messages) ON CONFLICT DO NOTHING;
  IF cardinality(ended_clients) > 0 THEN
    DELETE FROM session_rows r USING unnest(ended_clients, ended_epochs) e(client_id, epoch), sessions s
      WHERE r.client_id = e.client_id AND r.kind IN ('session', 'subscription', 'queued')
        AND s.client_id = e.client_id AND s.owner = me AND s.epoch = e.epoch;
  END IF;
  IF cardinality(cut_clients) > 0 THEN
    DELETE FROM session_rows r USING unnest(cut_clients, cut_epochs, cut_kinds, cut_keys, cut_names) c(client_id, epoch, kind, key, name),
      sessions s
      WHERE r.client_id = c.client_id AND r.kind = c.kind AND r.key = c.key AND r.name = c.name
        AND s.client_id = c.client_id AND s.owner = me AND s.epoch = c.epoch;
  END IF;
  IF cardinality(put_clients) > 0 THEN
    INSERT INTO session_rows
      SELECT p.client_id, p.kind, p.key, p.name, p.content, p.payload, p.properties
      FROM unnest(put_clients, put_epochs, put_kinds, put_keys, put_names, put_contents, put_payloads, put_properties)
        p(client_id, epoch, kind, key, name, content, payload, properties)
      JOIN sessions s ON s.client_id = p.client_id AND s.owner = me AND s.epoch = p.epoch
      ON CONFLICT (client_id, kind, key, name) DO UPDATE
        SET content = excluded.content, payload = excluded.payload, properties = excluded.properties;
  END IF;
  IF cardinality(removed_topics) > 0 THEN
    UPDATE retained r SET message = NULL, removed_at = clock_timestamp()
      FROM unnest(removed_topics, removed_versions) u(topic, version)
      WHERE r.topic = u.topic AND r.version <= u.version;
  END IF;
  IF cardinality(settled_clients) > 0 THEN
    UPDATE sessions SET settled = true WHERE owner = me AND client_id = ANY (settled_clients);
  END IF;
  IF cardinality(given_clients) > 0 THEN
    -- To a node that is not there it is not given: it would be nobody's for good. Its owner reads it again.
    UPDATE sessions s SET owner = COALESCE((SELECT n.incarnation FROM nodes n WHERE n.incarnation = g.to_node AND NOT n.ended), me),
        epoch = s.epoch + 1, settled = false, positions = merged(s.positions, g.positions::jsonb),
        cleared_epoch = cleared
      FROM unnest(given_clients, given_to, given_positions) g(client_id, to_node, positions)
      WHERE s.client_id = g.client_id AND s.owner = me;
  END IF;
  IF cardinality(kept_topics) > 0 THEN
    RETURN QUERY INSERT INTO retained (topic, version, message, removed_at)
      SELECT k.topic, nextval('retained_version'), k.message, CASE WHEN k.message IS NULL THEN clock_timestamp() END
      FROM (SELECT * FROM unnest(kept_topics, kept_messages) n(topic, message) ORDER BY n.topic) k
      ON CONFLICT (topic) DO UPDATE
        SET version = nextval('retained_version'), message = excluded.message, removed_at = excluded.removed_at
      RETURNING retained.topic, retained.version;
  END IF;
END $$;
`

/** Which formats each node knows, and the one that all write. Nodes of the version before go on: their rows have what is true of them. */
const version3 = `
SET LOCAL search_path = rollcall_cluster;
ALTER TABLE cluster ADD COLUMN IF NOT EXISTS format integer NOT NULL DEFAULT 1;
ALTER TABLE nodes ADD COLUMN IF NOT EXISTS newest_format integer NOT NULL DEFAULT 1;
`

/** A node that joins reads the shared subscriptions of all stored sessions, and nothing else of them. */
const version4 = `
SET LOCAL search_path = rollcall_cluster;
CREATE INDEX IF NOT EXISTS session_rows_groups ON session_rows (client_id, name) WHERE kind = 'subscription' AND name LIKE '$share/%';
`

export const clusterTables: PostgresTables = {
  schema: 'rollcall_cluster',
  // The first one may find the same tables without a version.
  steps: [version1, version2, version3, version4],
  // Raised with a step that nodes of the version before do not go together with.
  oldest: 2,
  lock: '4711002',
  // Nodes that run and do not go together with it write nothing any more, and end.
  async taken(client, from, oldest) {
    if (from > 0 && from < oldest) await client.query('UPDATE rollcall_cluster.nodes SET ended = true')
  },
}
