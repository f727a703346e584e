// Opens a registry file: WAL, foreign keys, full durability for writers, and Kysely on top.
// A writer commits to disk before it answers; `synchronous=NORMAL` loses acknowledged rows at power loss.
import { chmodSync, existsSync, statSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'
import {
  CompiledQuery,
  type DatabaseConnection,
  Kysely,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
} from 'kysely'
import { assertSchema, migrate, schemaVersion } from './migrate.ts'
import { asRegistryError, RegistryError } from './registry-error.ts'
import type { Schema } from './schema.ts'
import { prepared } from './statement.ts'

/** How long SQLite may block the event loop for a lock; longer waits are retried without blocking. */
const BUSY_TIMEOUT_MS = 50
/** The same while opening: nobody is served yet, and a writer that is in the way is done soon. */
const OPENING_BUSY_TIMEOUT_MS = 5_000

export type Registry = {
  sqlite: Database
  query: Kysely<Schema>
  file: string
  /** Of the file that was opened: another one under the same name is another registry. */
  inode: number
  /** Where several machines share the registry: what decides whether a group of verbs becomes part of it. */
  agreement?: GroupAgreement
}

/** How a group of verbs becomes part of a registry that other processes change as well. */
export type GroupAgreement = {
  /** Called first in the transaction in which the verbs run. */
  begin(): void
  /** Called last in it: what the verbs would change. The transaction is rolled back then. */
  proposal(): Proposal
  /**
   * Makes the group part of the registry and writes it into this file, or says that another one was first: then this file is in step
   * again, and the verbs run anew. `refused` says that a verb refused, which it may have done because this file was behind.
   * @throws {RegistryError} `registry_unreachable` where that cannot be learned, `registry_refused` where a row of the group cannot be taken
   */
  settle(proposal: Proposal, refused: boolean): Promise<'agreed' | 'outdated'>
}
/** `base` is the group that the changes were worked out on. */
export type Proposal = { base: GroupAt; changes: readonly unknown[]; notes: readonly string[] }

/** A place in the order of groups. The ID tells apart two that have the same number: one may have been lost with a server. */
export type GroupAt = { sequence: number; id: string | null }

/** The table by which a file says that its registry is in PostgreSQL: it is written by replication alone. */
export const REPLICA_TABLE = 'replica'

/** Opens for reading and writing, creating and migrating the file where needed. The file is 0600. */
export function openForWriting(file: string): Registry {
  return opened(file, {}, sqlite => {
    assertNotReplica(sqlite, file)
    chmodSync(file, 0o600)
    sqlite.pragma('journal_mode = WAL')
    sqlite.pragma('synchronous = FULL')
    sqlite.pragma('foreign_keys = ON')
    migrate(sqlite)
    keepUndoInMemory(sqlite)
  })
}

/** Opens an existing registry for reading only: a current one, or one that is no older than the caller can read. */
export function openForReading(file: string, oldestSchema = schemaVersion): Registry {
  assertExists(file)
  return opened(file, { readonly: true }, sqlite => assertSchema(sqlite, oldestSchema))
}

/**
 * Opens an existing, current registry for what a broker notes down (uses, refusals, acknowledgements).
 * Nobody is promised these rows survive a power loss, so a commit does not wait for the disk.
 */
export function openForNotes(file: string): Registry {
  assertExists(file)
  return opened(file, {}, sqlite => {
    assertNotReplica(sqlite, file)
    sqlite.pragma('synchronous = NORMAL')
    sqlite.pragma('foreign_keys = ON')
    assertSchema(sqlite)
    keepUndoInMemory(sqlite)
  })
}

/** Opens a replica in which verbs are tried. Nothing that they write is committed there. */
export function openForTrial(file: string, prepare: (sqlite: Database) => void): Registry {
  return opened(file, {}, sqlite => {
    sqlite.pragma('foreign_keys = ON')
    assertSchema(sqlite)
    // Before anything temporary is made: the setting drops it.
    keepUndoInMemory(sqlite)
    prepare(sqlite)
  })
}

/**
 * What a savepoint or a statement with triggers may have to undo: each page that a verb changes. SQLite writes it to a temporary file from
 * 64 KiB on, which was nine of ten writes of a verb. After migrations, which may sort more than fits.
 */
function keepUndoInMemory(sqlite: Database): void {
  sqlite.pragma('temp_store = MEMORY')
}

function assertNotReplica(sqlite: Database, file: string): void {
  const found = sqlite
    .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")
    .get(REPLICA_TABLE)
  if (found !== undefined)
    throw new RegistryError(
      'registry_replicated',
      `${file} is a replica of a registry in PostgreSQL: name that with --registry, or another directory with --data`,
    )
}

/** Throws `registry_corrupt` where SQLite's own check finds damage. */
export function assertIntegrity(registry: Registry): void {
  const findings = findingsOf(registry)
  if (findings !== 'ok') {
    throw new RegistryError(
      'registry_corrupt',
      `the registry file ${registry.file} is damaged (${findings}): restore a backup`,
    )
  }
}

/**
 * Throws `registry_missing` where the file was removed since it was opened, `registry_replaced` where another one lies
 * there. SQLite goes on with a file that has lost its name: what it reads is no longer the record, and what it writes is lost.
 */
export function assertSameFile({ file, inode }: Registry): void {
  const found = statSync(file, { throwIfNoEntry: false })
  if (found?.ino === inode) return
  throw new RegistryError(
    found === undefined ? 'registry_missing' : 'registry_replaced',
    `${file} is gone or was replaced: restart the service`,
  )
}

/** What SQLite's check says. Damage that is bad enough throws instead of being listed. */
function findingsOf(registry: Registry): string {
  try {
    return registry.sqlite.pragma('quick_check(5)', { simple: true }) as string
  } catch (error) {
    throw inFile(error, registry.file)
  }
}

/** Closes the file, folding the write-ahead log into it where nobody else has it open. */
export async function closeRegistry(registry: Registry): Promise<void> {
  await registry.query.destroy()
  // Kysely closes only what it has queried through; a file left open would keep its write-ahead log.
  registry.sqlite.close()
}

/** Copies the live registry, consistently and while others write, into a new file (0600). */
export async function backup(registry: Registry, target: string): Promise<{ bytes: number }> {
  if (existsSync(target)) throw new Error(`${target} exists already: name a new file`)
  await registry.sqlite.backup(target)
  chmodSync(target, 0o600)
  return { bytes: statSync(target).size }
}

function assertExists(file: string): void {
  if (!existsSync(file)) throw new RegistryError('registry_missing', `no registry at ${file}`)
}

/** Leaves no descriptor behind where preparing fails: a broker that waits for a schema tries many times. */
function opened(file: string, options: Sqlite.Options, prepare: (sqlite: Database) => void): Registry {
  let sqlite: Database | null = null
  try {
    sqlite = new Sqlite(file, { ...options, timeout: OPENING_BUSY_TIMEOUT_MS })
    prepare(sqlite)
    sqlite.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
    const query = new Kysely<Schema>({ dialect: immediateDialect(sqlite) })
    return { sqlite, query, file, inode: statSync(file).ino }
  } catch (error) {
    sqlite?.close()
    throw inFile(error, file)
  }
}

/** The error in an operator's words, with the file it is about. */
function inFile(error: unknown, file: string): unknown {
  const translated = asRegistryError(error)
  return translated instanceof RegistryError && !translated.message.includes(file)
    ? new RegistryError(translated.code, `${translated.message} (${file})`, { cause: error })
    : translated
}

/** A dialect whose transactions take the write lock at once: a deferred one can fail halfway with SQLITE_BUSY. */
function immediateDialect(database: Database): SqliteDialect {
  class ImmediateDriver extends SqliteDriver {
    override async beginTransaction(connection: DatabaseConnection): Promise<void> {
      await connection.executeQuery(CompiledQuery.raw('begin immediate'))
    }

    // SQLite itself rolls back on a full disk; a second attempt would fail and hide why.
    override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
      if (database.inTransaction) await super.rollbackTransaction(connection)
    }
  }
  class ImmediateDialect extends SqliteDialect {
    override createDriver() {
      return new ImmediateDriver({ database: withPreparedStatements(database) })
    }
  }
  return new ImmediateDialect({ database })
}

/** Statements whose text comes again and again are prepared once. */
function withPreparedStatements(database: Database): SqliteDatabase {
  return {
    close: () => void database.close(),
    prepare: text => prepared(database, text) as unknown as ReturnType<SqliteDatabase['prepare']>,
  }
}
