// Brings the rows of a registry in PostgreSQL to the schema of this version: they become a registry of their own schema in a file, which is
// migrated like any other, and what differs then is one group. One transaction of PostgreSQL: a process killed in it has changed nothing.
import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, rmSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'
import { migrate, schemaVersion } from '../migrate.ts'
import type { PostgresClient, PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { preparePostgresSchema } from './postgres-schema.ts'
import { columnsOf, REGISTRY_CHANNEL, ROWS_PER_FETCH, rowsAfter } from './registry-rows.ts'
import { prepareRowApplication } from './row-application.ts'
import { allRows, type ChangedRow } from './row-capture.ts'

/** For one statement on all rows. */
const ANSWER_MS = 600_000
/** Where this machine is gone, PostgreSQL lets go of the head soon. */
const keepAlive =
  'SET LOCAL tcp_keepalives_idle = 10; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3'

export type Upgrade = { from: number; to: number; sequence: number }

type OldHead = { sequence: string; tables_schema: number; registry_id: string }

/**
 * Null where the rows are of this version, or of a newer one, which others refuse. Changes of other processes wait meanwhile. `file` is
 * made for it beside the replica and removed. Throws where PostgreSQL cannot be used or the rows cannot be migrated: then nothing has changed.
 */
export async function upgradeRegistry(options: {
  settings: PostgresSettings
  name: string
  file: string
  /** Of tests: a process that is killed before the rows are there for others. */
  beforeCommit?: (() => void) | undefined
}): Promise<Upgrade | null> {
  const { settings, name } = options
  const link = createPostgresLink({
    ...{ settings, name: `${name} upgrade`, answerMs: ANSWER_MS },
    prepare: client => preparePostgresSchema(client, true),
  })
  try {
    return await link.ask(async client => {
      if ((await headSchema(client)) >= schemaVersion) return null
      await client.query('BEGIN')
      await client.query(keepAlive)
      // Held until the end: no group can come in between, and another process that upgrades waits here.
      const { rows } = await client.query<OldHead>(
        'SELECT sequence, tables_schema, registry_id FROM rollcall.registry_head FOR UPDATE',
      )
      const head = rows[0]!
      const upgrade = head.tables_schema < schemaVersion ? await upgraded(client, head, options) : null
      options.beforeCommit?.()
      await client.query('COMMIT')
      return upgrade
    })
  } finally {
    link.close()
  }
}

/** That of this version where the head is missing: reading it says so. */
async function headSchema(client: PostgresClient): Promise<number> {
  const { rows } = await client.query<{ tables_schema: number }>(
    'SELECT tables_schema FROM rollcall.registry_head',
  )
  return rows[0]?.tables_schema ?? schemaVersion
}

async function upgraded(
  client: PostgresClient,
  head: OldHead,
  { name, file }: { name: string; file: string },
): Promise<Upgrade> {
  const from = head.tables_schema
  const before = Number(head.sequence)
  // A registry without rows yet gets those of its first group by this version.
  const sequence = before === 0 ? 0 : before + 1
  if (sequence > 0) {
    remove(file)
    const sqlite = new Sqlite(file)
    try {
      chmodSync(file, 0o600)
      // Nobody needs it after a power loss.
      sqlite.pragma('synchronous = OFF')
      await layOld(sqlite, from, rowsAfter(client, 0))
      sqlite.pragma('foreign_keys = ON')
      migrate(sqlite)
      await publish(client, allRows(sqlite), sequence)
    } finally {
      sqlite.close()
      remove(file)
    }
    await client.query('INSERT INTO rollcall.registry_groups (sequence, id, writer) VALUES ($1, $2, $3)', [
      ...[sequence, randomUUID(), name],
    ])
  }
  // Deleted rows of the schema before mean nothing to replicas of this one, which start anew.
  const moved = await client.query(
    `UPDATE rollcall.registry_head SET sequence = $1, complete_from = $1, tables_schema = $2
     WHERE sequence = $3 AND registry_id = $4 AND tables_schema = $5`,
    [sequence, schemaVersion, before, head.registry_id, from],
  )
  if (moved.rowCount !== 1) throw new Error('the registry in PostgreSQL changed while it was upgraded')
  await client.query(`NOTIFY ${REGISTRY_CHANNEL}`)
  return { from, to: schemaVersion, sequence }
}

/** The registry as the version before would have it in a file of its own, with its triggers. */
async function layOld(sqlite: Database, schema: number, batches: AsyncIterable<ChangedRow[]>): Promise<void> {
  migrate(sqlite, schema)
  sqlite.pragma('foreign_keys = OFF')
  const triggers = sqlite
    .prepare<[], { name: string; sql: string }>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid",
    )
    .all()
  sqlite.exec('BEGIN')
  // What they did is among the rows.
  for (const { name } of triggers) sqlite.exec(`DROP TRIGGER ${name}`)
  const application = prepareRowApplication(sqlite)
  application.removeAll()
  for await (const rows of batches) application.insertRows(rows)
  for (const { sql } of triggers) sqlite.exec(sql)
  sqlite.exec('COMMIT')
}

/** In the transaction: rows that are as they were keep their sequence. */
async function publish(client: PostgresClient, rows: Iterable<ChangedRow>, sequence: number): Promise<void> {
  await client.query(
    `CREATE UNLOGGED TABLE rollcall.upgraded_rows (
       table_name text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, live boolean NOT NULL, content text NOT NULL,
       PRIMARY KEY (table_name, key)
     )`,
  )
  let batch: ChangedRow[] = []
  const write = async () => {
    await client.query(
      'INSERT INTO rollcall.upgraded_rows SELECT * FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[])',
      columnsOf(batch),
    )
    batch = []
  }
  for (const row of rows) {
    batch.push(row)
    if (batch.length >= ROWS_PER_FETCH) await write()
  }
  await write()
  await client.query(
    `DELETE FROM rollcall.registry_rows r WHERE NOT live OR NOT EXISTS (
       SELECT FROM rollcall.upgraded_rows u WHERE u.table_name = r.table_name AND u.key = r.key)`,
  )
  await client.query(
    `INSERT INTO rollcall.registry_rows AS r (table_name, key, live, content, sequence)
     SELECT table_name, key, live, content, $1::bigint FROM rollcall.upgraded_rows
     ON CONFLICT (table_name, key) DO UPDATE SET content = excluded.content, sequence = excluded.sequence
       WHERE r.content <> excluded.content`,
    [sequence],
  )
  await client.query('DROP TABLE rollcall.upgraded_rows')
}

function remove(file: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm'])
    if (existsSync(`${file}${suffix}`)) rmSync(`${file}${suffix}`)
}
