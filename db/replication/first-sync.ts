// A replica that is not there yet, made of one state of PostgreSQL: table by table into a file of its own, without journal, indexes after the
// rows, and renamed once all of it is on disk. A process killed in the middle begins again.
import { closeSync, existsSync, fsyncSync, openSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Database } from 'better-sqlite3'
import { RegistryError } from '../registry-error.ts'
import type { PostgresClient, PostgresSettings } from './postgres.ts'
import { createPostgresLink, unreachable } from './postgres-link.ts'
import { preparePostgresSchema } from './postgres-schema.ts'
import { contentsOf, inSnapshot, tablesThere } from './registry-rows.ts'
import { openReplicaFile, type Position, removeReplica } from './replica-file.ts'
import { namingRow, prepareRowApplication, type TableStatements } from './row-application.ts'
import { decodeRows } from './row-encoding.ts'

/** Pages of 4 KiB that SQLite holds while it is filled: 256 MiB. */
const CACHE_PAGES = 65_536
/** For one page of rows, of a server that reads them from its disk. */
const ANSWER_MS = 60_000

/** Does nothing where the replica has been in step before, or PostgreSQL holds no rows yet. Throws where PostgreSQL cannot be used. */
export async function firstSync(options: {
  settings: PostgresSettings
  file: string
  name: string
  writer?: boolean
  without: readonly string[]
}): Promise<void> {
  const { settings, file, without } = options
  if (existsSync(file) && wasInStep(file, without)) return
  const link = createPostgresLink({
    ...{ settings, name: `${options.name} first sync`, answerMs: ANSWER_MS },
    prepare: client => preparePostgresSchema(client, options.writer === true),
  })
  const made = `${file}.first`
  removeReplica(made)
  try {
    const position = await link.ask(client => fillReplica(client, made, without))
    if (position === null) return
    removeReplica(file)
    renameSync(made, file)
    syncFile(dirname(file))
  } catch (error) {
    throw isOfFile(error) ? error : unreachable(error, settings)
  } finally {
    link.close()
    removeReplica(made)
  }
}

/** Makes a replica in a file that is not there, all of it on disk. Gives its position; null where there are no rows yet, and then no file. */
export async function fillReplica(
  client: PostgresClient,
  file: string,
  without: readonly string[],
): Promise<Position | null> {
  return inSnapshot(client, async ({ registryId, group }) => {
    if (group.sequence === 0) return null
    const replica = openReplicaFile(file, without)
    const { sqlite } = replica
    try {
      sqlite.pragma('journal_mode = OFF')
      sqlite.pragma('synchronous = OFF')
      sqlite.pragma('locking_mode = EXCLUSIVE')
      sqlite.pragma(`cache_size = ${CACHE_PAGES}`)
      const { tables } = prepareRowApplication(sqlite)
      const known = new Set([...without, ...tables.map(({ table }) => table.name)])
      const unknown = (await tablesThere(client)).find(name => !known.has(name))
      if (unknown !== undefined)
        throw new RegistryError(
          'registry_corrupt',
          `the registry in PostgreSQL has a table ${unknown}, which is unknown here`,
        )
      const indexes = indexesOf(sqlite)
      sqlite.exec('BEGIN EXCLUSIVE')
      for (const { name } of indexes) sqlite.exec(`DROP INDEX ${name}`)
      for (const statements of tables) await fillTable(client, sqlite, statements)
      for (const { sql } of indexes) sqlite.exec(sql)
      replica.setPosition({ registryId, group })
      sqlite.exec('COMMIT')
    } finally {
      replica.close()
    }
    syncFile(file)
    return { registryId, group }
  })
}

/** A new file holds rows of its own, and SQLite notes numbers of AUTOINCREMENT as rows come: both go before. */
async function fillTable(
  client: PostgresClient,
  sqlite: Database,
  { table, insert }: TableStatements,
): Promise<void> {
  sqlite.exec(`DELETE FROM ${table.name}`)
  const isInteger = table.columns.map(column => table.integers.has(column))
  for await (const contents of contentsOf(client, table.name))
    namingRow(table.name, () => {
      for (const values of decodeRows(contents, isInteger)) insert.run(...(values as never[]))
    })
}

function indexesOf(sqlite: Database): { name: string; sql: string }[] {
  return sqlite
    .prepare<[], { name: string; sql: string }>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY rowid",
    )
    .all()
}

function wasInStep(file: string, without: readonly string[]): boolean {
  const replica = openReplicaFile(file, without)
  try {
    return replica.position() !== null
  } finally {
    replica.close()
  }
}

/** Of this file system, and not of PostgreSQL. */
function isOfFile(error: unknown): boolean {
  return /^(SQLITE_|ENOSPC|EACCES|EROFS|EIO)/.test(String((error as { code?: unknown }).code))
}

/** Waits until it is on disk: a file, or the names in a directory. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
