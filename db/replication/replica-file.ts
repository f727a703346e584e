// A replica as a file: the tables of a registry without its triggers, and how far it is in step. What triggers did came with the rows;
// verbs that are tried here get the triggers for their connection alone.
import { chmodSync, existsSync, rmSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'
import { migrate, schemaVersion } from '../migrate.ts'
import { type GroupAt, openForTrial, REPLICA_TABLE, type Registry } from '../open.ts'
import { RegistryError } from '../registry-error.ts'
import { captureRows, type RowCapture } from './row-capture.ts'

const OPENING_BUSY_TIMEOUT_MS = 5_000
/** Waiting blocks the event loop, and with it the transaction that may be in the way. */
const BUSY_TIMEOUT_MS = 50

/** Where a replica stands. */
export type Position = { registryId: string; group: GroupAt }

export type ReplicaFile = {
  sqlite: Database
  position(): Position | null
  /** Called in the transaction that makes it true. */
  setPosition(position: Position): void
  close(): void
}

/**
 * Opens the connection that writes rows into a replica, and makes the file where there is none; `without` are tables that it has not. One of
 * another version, or with a table that it is to be without, is made anew: all that is in it is in PostgreSQL. Throws `registry_replicated`
 * where the file is a registry of its own.
 */
export function openReplicaFile(file: string, without: readonly string[] = []): ReplicaFile {
  if (existsSync(file) && !isOfThisKind(file, without)) removeReplica(file)
  const sqlite = new Sqlite(file, { timeout: OPENING_BUSY_TIMEOUT_MS })
  try {
    chmodSync(file, 0o600)
    sqlite.pragma('journal_mode = WAL')
    // What a power loss takes is asked for again. And what refers to a row may come after it.
    sqlite.pragma('synchronous = NORMAL')
    sqlite.pragma('foreign_keys = OFF')
    if (sqlite.pragma('user_version', { simple: true }) === 0) lay(sqlite, without)
    sqlite.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
  } catch (error) {
    sqlite.close()
    throw error
  }
  const read = sqlite.prepare<[], { registryId: string } & GroupAt>(
    `SELECT registry_id AS registryId, sequence, group_id AS id FROM ${REPLICA_TABLE}`,
  )
  const write = sqlite.prepare(
    `INSERT INTO ${REPLICA_TABLE} (only_row, registry_id, sequence, group_id) VALUES (1, @registryId, @sequence, @id)
     ON CONFLICT (only_row) DO UPDATE SET registry_id = @registryId, sequence = @sequence, group_id = @id`,
  )
  return {
    sqlite,
    position() {
      const { registryId, ...group } = read.get() ?? { registryId: null, sequence: 0, id: null }
      return registryId === null ? null : { registryId, group }
    },
    setPosition: ({ registryId, group }) => void write.run({ registryId, ...group }),
    close: () => void sqlite.close(),
  }
}

/** A connection on which verbs run and are undone, with the triggers of the registry and those that note changed rows. */
export function openTrial(file: string): { registry: Registry; capture: RowCapture } {
  let capture: RowCapture | undefined
  const registry = openForTrial(file, sqlite => {
    for (const sql of registryTriggers()) sqlite.exec(sql.replace(/^CREATE TRIGGER/, 'CREATE TEMP TRIGGER'))
    capture = captureRows(sqlite)
  })
  return { registry, capture: capture! }
}

export function isReplica(file: string): boolean {
  const sqlite = new Sqlite(file, { readonly: true, timeout: OPENING_BUSY_TIMEOUT_MS })
  try {
    return sqlite.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(REPLICA_TABLE) !== undefined
  } finally {
    sqlite.close()
  }
}

/** Makes a registry of its own of a replica that is closed. Throws where rows point nowhere. */
export function makeOwnRegistry(file: string, withoutRowsOf: readonly string[]): void {
  const sqlite = new Sqlite(file)
  try {
    sqlite.pragma('foreign_keys = OFF')
    sqlite
      .transaction(() => {
        sqlite.exec(`DROP TABLE ${REPLICA_TABLE}`)
        for (const table of withoutRowsOf) sqlite.exec(`DELETE FROM ${table}`)
        for (const sql of registryTriggers()) sqlite.exec(sql)
        if ((sqlite.pragma('foreign_key_check') as unknown[]).length > 0)
          throw new RegistryError('registry_corrupt', 'rows of the registry in PostgreSQL point nowhere')
      })
      .immediate()
    // All of it in the one file, on disk.
    sqlite.pragma('synchronous = FULL')
    sqlite.pragma('wal_checkpoint(TRUNCATE)')
  } finally {
    sqlite.close()
  }
}

/** One transaction, so that a process killed in the middle leaves an empty file. */
function lay(sqlite: Database, without: readonly string[]): void {
  sqlite
    .transaction(() => {
      migrate(sqlite)
      for (const name of triggerNames(sqlite)) sqlite.exec(`DROP TRIGGER ${name}`)
      for (const name of without) sqlite.exec(`DROP TABLE ${name}`)
      sqlite.exec(`CREATE TABLE ${REPLICA_TABLE} (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        registry_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        group_id TEXT
      ) STRICT`)
    })
    .immediate()
}

export function removeReplica(file: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
}

/** Whether a file can be gone on with: it is empty, or says which group it has last, and has none of these tables. */
function isOfThisKind(file: string, without: readonly string[]): boolean {
  const sqlite = new Sqlite(file, { timeout: OPENING_BUSY_TIMEOUT_MS })
  try {
    const version = sqlite.pragma('user_version', { simple: true }) as number
    if (version === 0) return true
    const has = sqlite.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?')
    if (has.get(REPLICA_TABLE) === undefined)
      throw new RegistryError(
        'registry_replicated',
        `${file} is a registry of its own and no replica: name another directory with --data`,
      )
    const columns = sqlite
      .prepare<[], string>(`SELECT name FROM pragma_table_info('${REPLICA_TABLE}')`)
      .pluck()
    if (version !== schemaVersion || !columns.all().includes('group_id')) return false
    return without.every(name => has.get(name) === undefined)
  } finally {
    sqlite.close()
  }
}

function triggerNames(sqlite: Database): string[] {
  return sqlite.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'trigger'").pluck().all()
}

/** As the migrations leave them. */
function registryTriggers(): string[] {
  const sqlite = new Sqlite(':memory:')
  try {
    migrate(sqlite)
    return sqlite
      .prepare<[], string>("SELECT sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")
      .pluck()
      .all()
  } finally {
    sqlite.close()
  }
}
