// The tables in PostgreSQL, in a schema `rollcall` of their own. Their version is their own: that of SQLite's tables stands in the head.
import { randomUUID } from 'node:crypto'
import { schemaVersion } from '../migrate.ts'
import { RegistryError } from '../registry-error.ts'
import type { PostgresClient } from './postgres.ts'

const VERSION = 1
/** "ROLLCALL" in ASCII: one process creates or changes the tables at a time. */
const ADVISORY_LOCK = '5930198763262561356'

const tables = `
CREATE SCHEMA IF NOT EXISTS rollcall;
CREATE TABLE rollcall.schema_version (version integer NOT NULL);
INSERT INTO rollcall.schema_version VALUES (${VERSION});
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

/**
 * Creates the tables where there are none. Throws a RegistryError where they are of a newer version, or hold rows of another version of
 * the registry.
 */
export async function preparePostgresSchema(client: PostgresClient, writer: boolean): Promise<void> {
  if ((await versionOf(client)) === null) {
    if (!writer)
      throw new RegistryError(
        'registry_missing',
        'PostgreSQL holds no registry yet: start a provisioning service on it first',
      )
    await createTables(client)
  }
  const version = await versionOf(client)
  if (version !== VERSION)
    throw new RegistryError(
      'registry_newer',
      `the tables in PostgreSQL have version ${version}, this version knows ${VERSION}: start the version that made them, or a newer one`,
    )
}

async function createTables(client: PostgresClient): Promise<void> {
  await client.query('BEGIN')
  await client.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCK])
  if ((await versionOf(client)) === null) {
    await client.query(tables)
    await client.query(
      'INSERT INTO rollcall.registry_head (registry_id, sequence, tables_schema) VALUES ($1, 0, $2)',
      [randomUUID(), schemaVersion],
    )
  }
  await client.query('COMMIT')
}

/** Null where there are no tables. */
async function versionOf(client: PostgresClient): Promise<number | null> {
  const { rows } = await client.query<{ there: boolean }>(
    "SELECT to_regclass('rollcall.schema_version') IS NOT NULL AS there",
  )
  if (rows[0]?.there !== true) return null
  const found = await client.query<{ version: number }>('SELECT version FROM rollcall.schema_version')
  return found.rows[0]?.version ?? null
}
