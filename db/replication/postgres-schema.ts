// The tables in PostgreSQL, in a schema `rollcall` of their own. Their version is their own: that of SQLite's tables stands in the head, and is brought up by upgrade.ts.
import { randomUUID } from 'node:crypto'
import { schemaVersion } from '../migrate.ts'
import type { PostgresClient } from './postgres.ts'
import { type PostgresTables, prepareTables } from './postgres-tables.ts'

const version1 = `
-- One row: how far the registry is. Each group of changes moves it from the number that its writer knew to the next one.
CREATE TABLE rollcall.registry_head (
  one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
  registry_id uuid NOT NULL,
  sequence bigint NOT NULL,
  -- Of the SQLite tables that the rows are of.
  tables_schema integer NOT NULL,
  -- Rows that were deleted before this sequence are forgotten: a replica from before starts anew.
  complete_from bigint NOT NULL DEFAULT 0
);
-- The latest state of each row. Where it is gone, content is its key.
CREATE TABLE rollcall.registry_rows (
  table_name text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  live boolean NOT NULL,
  content text NOT NULL,
  sequence bigint NOT NULL,
  PRIMARY KEY (table_name, key)
);
CREATE INDEX registry_rows_by_sequence ON rollcall.registry_rows (sequence);
CREATE INDEX registry_rows_gone ON rollcall.registry_rows (sequence) WHERE NOT live;
-- The last groups, to learn what became of one whose answer was lost.
CREATE TABLE rollcall.registry_groups (
  sequence bigint PRIMARY KEY,
  id uuid NOT NULL,
  writer text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
-- Files that one process makes and all serve.
CREATE TABLE rollcall.shared_files (
  name text PRIMARY KEY,
  hash text NOT NULL,
  content bytea NOT NULL
);
-- What brokers note, until a provisioning process has written it into the registry.
CREATE TABLE rollcall.broker_notes (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node text NOT NULL,
  version text NOT NULL,
  call text NOT NULL,
  arguments text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
-- How many notes of each broker process have come: one that is sent again, because its answer was lost, is there once.
CREATE TABLE rollcall.note_sources (
  number bigint GENERATED ALWAYS AS IDENTITY,
  source text PRIMARY KEY,
  last bigint NOT NULL
);
-- How long each broker keeps sessions without hearing from here.
CREATE TABLE rollcall.node_isolation (
  node text PRIMARY KEY,
  cut_ms bigint NOT NULL
);
`

const tables: PostgresTables = {
  schema: 'rollcall',
  steps: [version1],
  /** "ROLLCALL" in ASCII. */
  lock: '5930198763262561356',
  async taken(client, from) {
    if (from > 0) return
    await client.query(
      'INSERT INTO rollcall.registry_head (registry_id, sequence, tables_schema) VALUES ($1, 0, $2)',
      [randomUUID(), schemaVersion],
    )
  },
}

/** The version of the tables: checked with each group, as well, since a process that runs may have become the older one. */
export const TABLES_VERSION = tables.steps.length

/** Creates the tables where there are none, and brings older ones up. Throws a RegistryError where a process must not use what is there. */
export async function preparePostgresSchema(client: PostgresClient, writer: boolean): Promise<void> {
  await prepareTables(client, tables, writer)
}
