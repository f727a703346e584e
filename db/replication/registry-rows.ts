// What is asked of the registry in PostgreSQL: its head, the rows after a sequence, and to take a group of changes.
import { randomUUID } from 'node:crypto'
import { schemaVersion } from '../migrate.ts'
import type { GroupAt } from '../open.ts'
import { RegistryError } from '../registry-error.ts'
import type { PostgresClient } from './postgres.ts'
import { TABLES_VERSION } from './postgres-schema.ts'
import type { ChangedRow } from './row-capture.ts'

export const REGISTRY_CHANNEL = 'rollcall_registry'
/** A replica that is further behind starts anew: what was deleted before is forgotten, and which groups there were. */
export const GROUPS_KEPT = 1_000_000
/** More rows are read with a cursor. */
const ROWS_AT_ONCE = 2_000
export const ROWS_PER_FETCH = 5_000

export type Head = { registryId: string; group: GroupAt; completeFrom: number }
export type Group = {
  id: string
  /** The process, for people that look at the table. */
  writer: string
  registryId: string
  /** The one that the rows were worked out on. */
  base: GroupAt
  rows: readonly ChangedRow[]
  /** Broker notes that the rows come from: they end in the same transaction. */
  notes: readonly string[]
}

type HeadRow = {
  registry_id: string
  sequence: string
  group_id: string | null
  complete_from: string
  tables_schema: number
  tables_version: number
}
type Row = { table_name: string | null; key: string; live: boolean; content: string }

const HEAD_COLUMNS = `h.registry_id, h.sequence, h.complete_from, h.tables_schema,
  (SELECT id FROM rollcall.registry_groups g WHERE g.sequence = h.sequence) AS group_id,
  (SELECT version FROM rollcall.schema_version) AS tables_version`

/** Throws a RegistryError where the rows are of another version of the registry than this one reads. */
function headOf(row: HeadRow | undefined): Head {
  if (row === undefined)
    throw new RegistryError(
      'registry_corrupt',
      'the registry in PostgreSQL has no head row: restore a backup',
    )
  assertVersion('the registry in PostgreSQL has schema', row.tables_schema, schemaVersion)
  assertVersion('the tables in PostgreSQL have version', row.tables_version, TABLES_VERSION)
  const { registry_id: registryId, sequence, group_id: id, complete_from } = row
  return { registryId, group: { sequence: Number(sequence), id }, completeFrom: Number(complete_from) }
}

function assertVersion(what: string, found: number, known: number): void {
  if (found > known)
    throw new RegistryError(
      'registry_newer',
      `${what} ${found}, this version knows ${known}: it was upgraded, start the newer version here, too`,
    )
  if (found < known)
    throw new RegistryError(
      'registry_outdated',
      `${what} ${found}, this version needs ${known}: start a provisioning service of this version, which upgrades it`,
    )
}

export async function readHead(client: PostgresClient): Promise<Head> {
  const { rows } = await client.query<HeadRow>(`SELECT ${HEAD_COLUMNS} FROM rollcall.registry_head h`)
  return headOf(rows[0])
}

/**
 * The head, and the rows after a sequence in the same snapshot; null for the rows where they are too many for one answer. `known` is the ID
 * of the group of that sequence there; null where it is not known any more, or never was.
 */
export async function readChanges(
  client: PostgresClient,
  after: number,
  without: readonly string[],
): Promise<{ head: Head; known: string | null; rows: ChangedRow[] | null }> {
  const { rows } = await client.query<HeadRow & Row & { known: string | null }>(
    `SELECT ${HEAD_COLUMNS}, (SELECT id FROM rollcall.registry_groups WHERE sequence = $1) AS known,
       r.table_name, r.key, r.live, r.content FROM rollcall.registry_head h
     LEFT JOIN LATERAL (SELECT * FROM rollcall.registry_rows WHERE sequence > $1 AND table_name <> ALL ($3)
       ORDER BY sequence LIMIT $2) r ON true`,
    [after, ROWS_AT_ONCE + 1, without],
  )
  const changed = rows.filter(({ table_name }) => table_name !== null).map(changedRow)
  const known = rows[0]?.known ?? null
  return { head: headOf(rows[0]), known, rows: changed.length > ROWS_AT_ONCE ? null : changed }
}

/** The ID of the group of this sequence; null where it is not known any more, or never was. */
export async function groupIdAt(client: PostgresClient, sequence: number): Promise<string | null> {
  const { rows } = await client.query<{ id: string }>(
    'SELECT id FROM rollcall.registry_groups WHERE sequence = $1',
    [sequence],
  )
  return rows[0]?.id ?? null
}

/** The head, for work that reads rows in one snapshot, which lasts until it is done. */
export async function inSnapshot<T>(client: PostgresClient, work: (head: Head) => Promise<T>): Promise<T> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  const result = await work(await readHead(client))
  await client.query('COMMIT')
  return result
}

/** In batches, and in the caller's transaction. */
export async function* rowsAfter(
  client: PostgresClient,
  sequence: number,
  without: readonly string[] = [],
): AsyncGenerator<ChangedRow[]> {
  await client.query(
    `DECLARE changed CURSOR FOR SELECT table_name, key, live, content FROM rollcall.registry_rows
     WHERE sequence > ${Number(sequence)} AND table_name <> ALL ('{${without.join(',')}}')`,
  )
  for (;;) {
    const { rows } = await client.query<Row>(`FETCH ${ROWS_PER_FETCH} FROM changed`)
    if (rows.length === 0) break
    yield rows.map(changedRow)
  }
  await client.query('CLOSE changed')
}

/** The tables that there are rows of. */
export async function tablesThere(client: PostgresClient): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `WITH RECURSIVE there AS (
       SELECT min(table_name) AS name FROM rollcall.registry_rows
       UNION ALL SELECT (SELECT min(table_name) FROM rollcall.registry_rows WHERE table_name > there.name) FROM there WHERE name IS NOT NULL
     ) SELECT name FROM there WHERE name IS NOT NULL`,
  )
  return rows.map(({ name }) => name)
}

/** All rows of a table in the order of their keys, as texts of `encodeValues` with commas between. The next are read while the caller works. */
export async function* contentsOf(client: PostgresClient, table: string): AsyncGenerator<string> {
  const read = (after: string) =>
    client.query<{ last: string | null; contents: string }>({
      name: 'rows_of_table',
      text: `SELECT max(key) AS last, string_agg(content, ',') AS contents FROM (
        SELECT key, content FROM rollcall.registry_rows WHERE table_name = $1 AND key > $2 AND live ORDER BY key LIMIT ${ROWS_PER_FETCH}) p`,
      values: [table, after],
    })
  let page = (await read('')).rows[0]
  while (page?.last != null) {
    const next = read(page.last)
    yield page.contents
    page = (await next).rows[0]
  }
}

/** The sequence of the group; null where another was first, or one of its notes is gone. One statement, so one transaction. */
export async function publishGroup(client: PostgresClient, group: Group): Promise<number | null> {
  const { rows } = await client.query<{ sequence: string }>(publishSql, [
    group.base.sequence,
    group.registryId,
    group.id,
    group.writer,
    ...columnsOf(group.rows),
    group.notes,
    schemaVersion,
    group.base.id,
  ])
  return rows[0] === undefined ? null : Number(rows[0].sequence)
}

/**
 * Makes these rows the first group, in one transaction. False where there is a group already: nothing is written then. The rows may be more
 * than one statement takes.
 */
export async function publishFirst(
  client: PostgresClient,
  { id, writer, rows }: { id: string; writer: string; rows: Iterable<ChangedRow> },
): Promise<boolean> {
  await client.query('BEGIN')
  const head = await client.query<HeadRow>(`SELECT ${HEAD_COLUMNS} FROM rollcall.registry_head h FOR UPDATE`)
  if (headOf(head.rows[0]).group.sequence !== 0) {
    await client.query('ROLLBACK')
    return false
  }
  let batch: ChangedRow[] = []
  const write = async () => {
    await client.query(
      `INSERT INTO rollcall.registry_rows (table_name, key, live, content, sequence)
       SELECT *, 1 FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[])`,
      columnsOf(batch),
    )
    batch = []
  }
  for (const row of rows) {
    batch.push(row)
    if (batch.length >= ROWS_PER_FETCH) await write()
  }
  await write()
  await client.query('INSERT INTO rollcall.registry_groups (sequence, id, writer) VALUES (1, $1, $2)', [
    id,
    writer,
  ])
  await client.query('UPDATE rollcall.registry_head SET sequence = 1')
  await client.query(`NOTIFY ${REGISTRY_CHANNEL}`)
  await client.query('COMMIT')
  return true
}

/**
 * What became of a group whose answer was lost: its sequence, or null where it will never be. The head is moved where it still stands as
 * the group knew it, so that a statement that is on its way somewhere comes too late. It is written in any case: so the answer waits for a
 * synchronous standby, which a group that was found need not have reached.
 */
export async function outcomeOf(client: PostgresClient, { id, base }: Group): Promise<number | null> {
  await client.query(
    `WITH head AS (
       UPDATE rollcall.registry_head SET sequence = sequence + (sequence = $1)::int RETURNING sequence
     )
     INSERT INTO rollcall.registry_groups (sequence, id, writer) SELECT sequence, $2, 'nobody' FROM head
     WHERE sequence = $1::bigint + 1 ON CONFLICT DO NOTHING`,
    [base.sequence, randomUUID()],
  )
  const { rows } = await client.query<{ sequence: string }>(
    'SELECT sequence FROM rollcall.registry_groups WHERE sequence > $1 AND id = $2',
    [base.sequence, id],
  )
  return rows[0] === undefined ? null : Number(rows[0].sequence)
}

const publishSql = `
WITH head AS (
  UPDATE rollcall.registry_head SET sequence = sequence + 1
  WHERE sequence = $1 AND registry_id = $2 AND tables_schema = $10
    AND (SELECT version FROM rollcall.schema_version) = ${TABLES_VERSION}
    AND $11::uuid IS NOT DISTINCT FROM (SELECT id FROM rollcall.registry_groups WHERE sequence = $1)
    AND (SELECT count(*) FROM rollcall.broker_notes WHERE number = ANY ($9::bigint[])) = cardinality($9::bigint[])
  RETURNING sequence
), written AS (
  INSERT INTO rollcall.registry_rows (table_name, key, live, content, sequence)
  SELECT changed.table_name, changed.key, changed.live, changed.content, head.sequence
  FROM head, unnest($5::text[], $6::text[], $7::boolean[], $8::text[]) AS changed (table_name, key, live, content)
  ON CONFLICT (table_name, key) DO UPDATE
    SET live = excluded.live, content = excluded.content, sequence = excluded.sequence
), grouped AS (
  INSERT INTO rollcall.registry_groups (sequence, id, writer) SELECT sequence, $3, $4 FROM head
), forgotten AS (
  DELETE FROM rollcall.registry_groups WHERE sequence <= $1::bigint - ${GROUPS_KEPT}
), finished AS (
  DELETE FROM rollcall.broker_notes WHERE number = ANY ($9::bigint[]) AND EXISTS (SELECT FROM head)
)
SELECT head.sequence, pg_notify('${REGISTRY_CHANNEL}', '') FROM head`

/** As `unnest` takes them. */
export function columnsOf(rows: readonly ChangedRow[]): unknown[] {
  return [
    rows.map(({ table }) => table),
    rows.map(({ key }) => key),
    rows.map(({ live }) => live),
    rows.map(({ content }) => content),
  ]
}

function changedRow({ table_name, key, live, content }: Row): ChangedRow {
  return { table: table_name!, key, live, content }
}
