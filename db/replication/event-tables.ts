// The events of all machines in PostgreSQL, in a schema `rollcall_events` of their own: notifications, not the record, and no part of the
// registry. One function numbers a batch and writes it, once for each time that its source sends it.
import { fairShare } from '../events/fair-share.ts'
import type { PostgresClient, PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { type PostgresTables, prepareTables } from './postgres-tables.ts'

const version1 = `
-- The number of the last event. It is locked until a batch is there, so batches are seen in the order of their numbers.
CREATE TABLE rollcall_events.head (
  one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
  last bigint NOT NULL
);
INSERT INTO rollcall_events.head (last) VALUES (0);
CREATE TABLE rollcall_events.batches (
  last bigint PRIMARY KEY,
  numbers integer NOT NULL CHECK (numbers > 0),
  source text,
  at timestamptz NOT NULL DEFAULT now(),
  content text NOT NULL
);
-- How far each source has come: a batch that is sent again, because its answer was lost, is there once.
CREATE TABLE rollcall_events.sources (
  source text PRIMARY KEY,
  last bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
-- How far something that all machines read has been read, such as the audit log, or what was delivered to a webhook.
CREATE TABLE rollcall_events.marks (
  name text PRIMARY KEY,
  value bigint NOT NULL
);

CREATE FUNCTION rollcall_events.append(from_source text, expected bigint, reached bigint, given_numbers integer, given text,
  mark_names text[], mark_values bigint[])
RETURNS boolean LANGUAGE plpgsql SET search_path = rollcall_events AS $$
DECLARE upto bigint;
BEGIN
  IF from_source IS NOT NULL THEN
    INSERT INTO sources AS known (source, last) VALUES (from_source, reached)
      ON CONFLICT (source) DO UPDATE SET last = excluded.last, at = now() WHERE known.last = expected;
    IF NOT FOUND THEN RETURN false; END IF;
  END IF;
  IF cardinality(mark_names) > 0 THEN
    INSERT INTO marks (name, value) SELECT * FROM unnest(mark_names, mark_values)
      ON CONFLICT (name) DO UPDATE SET value = excluded.value;
  END IF;
  -- Beyond the time in microseconds: beyond what any machine numbered by itself, and what was there before an older backup.
  UPDATE head SET last = greatest(last, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) + given_numbers
    RETURNING last INTO upto;
  INSERT INTO batches (last, numbers, source, content) VALUES (upto, given_numbers, from_source, given);
  RETURN true;
END $$;

CREATE FUNCTION rollcall_events.append_read(mark text, was bigint, reached bigint, given_numbers integer, given text)
RETURNS boolean LANGUAGE plpgsql SET search_path = rollcall_events AS $$
BEGIN
  IF was IS NULL THEN
    INSERT INTO marks (name, value) VALUES (mark, reached) ON CONFLICT DO NOTHING;
  ELSE
    UPDATE marks SET value = reached WHERE name = mark AND value = was;
  END IF;
  IF NOT FOUND THEN RETURN false; END IF;
  IF given_numbers > 0 THEN PERFORM append(NULL, NULL, NULL, given_numbers, given, '{}', '{}'); END IF;
  RETURN true;
END $$;
`

const tables: PostgresTables = {
  schema: 'rollcall_events',
  steps: [version1],
  /** "ROLLEVTS" in ASCII. */
  lock: '5931043124734743635',
}

/** `mayMake` where this process makes tables that are not there. Throws a RegistryError where they cannot be used. */
export async function prepareEventTables(client: PostgresClient, mayMake: boolean): Promise<void> {
  await prepareTables(client, tables, mayMake)
}

/** Before brokers find the registry: they make none. */
export async function makeEventTables(options: { settings: PostgresSettings; name: string }): Promise<void> {
  const link = createPostgresLink({ ...options, name: `${options.name} start` })
  try {
    await link.ask(client => prepareEventTables(client, true))
  } finally {
    link.close()
  }
}

const BATCHES_KEPT = 200_000
const EVENTS_KEPT = 200_000
const PRUNE_MS = 60_000

/** Forgets what is older than seven days, and beyond what machines keep: each of them its part, where all together have more. */
export async function pruneEvents(
  options: { settings: PostgresSettings; name: string },
  eventsKept = EVENTS_KEPT,
): Promise<void> {
  const link = createPostgresLink({ ...options, name: `${options.name} prune`, answerMs: PRUNE_MS })
  try {
    await link.ask(async client => {
      await client.query(`DELETE FROM rollcall_events.batches WHERE at < now() - interval '7 days'`)
      // Of the machines that have most, the oldest: a flood at one displaces no event of another.
      const { rows } = await client.query<{ events: number; batches: number }>(
        `SELECT sum(numbers)::float8 AS events, count(*)::float8 AS batches FROM rollcall_events.batches GROUP BY source`,
      )
      const [events, batches] = [
        fairShare(
          rows.map(row => row.events),
          eventsKept,
        ),
        fairShare(
          rows.map(row => row.batches),
          BATCHES_KEPT,
        ),
      ]
      await client.query(
        `DELETE FROM rollcall_events.batches b USING (
           SELECT last, sum(numbers) OVER newest AS events, row_number() OVER newest AS batches
           FROM rollcall_events.batches WINDOW newest AS (PARTITION BY source ORDER BY last DESC)) kept
         WHERE b.last = kept.last AND (kept.events > $1::float8 OR kept.batches > $2::float8)`,
        [events, batches],
      )
      await client.query(`DELETE FROM rollcall_events.sources WHERE at < now() - interval '30 days'`)
    })
  } finally {
    link.close()
  }
}
