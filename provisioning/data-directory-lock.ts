// One process per data directory: an exclusive lock that the kernel releases however the process ends.
// A SQLite file is the lock, because Node has no advisory file locks of its own.
import { chmodSync } from 'node:fs'
import Sqlite from 'better-sqlite3'

export type DirectoryLock = { release(): void }

/** A database nobody refers to is closed by the garbage collector, and its lock falls. */
const held = new Set<Sqlite.Database>()

/** Takes the lock at once or throws an error that says who is in the way and what to do. */
export function lockDirectory(file: string, directory: string): DirectoryLock {
  const sqlite = new Sqlite(file, { timeout: 0 })
  try {
    chmodSync(file, 0o600)
    // In memory, so that neither a running nor a killed holder leaves a journal beside the keys.
    sqlite.pragma('journal_mode = MEMORY')
    sqlite.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    sqlite.close()
    if (!String((error as { code?: string }).code).startsWith('SQLITE_BUSY')) throw error
    throw new Error(
      `another provisioning service runs on ${directory}: stop it, or name another directory with --data`,
      { cause: error },
    )
  }
  held.add(sqlite)
  return {
    release() {
      held.delete(sqlite)
      sqlite.close()
    },
  }
}
