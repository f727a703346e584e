// One process per job and data directory. The lock is the kernel's: it falls with its holder, however that one dies.
// Refuses to know what is guarded.
import { chmodSync } from 'node:fs'
import Sqlite from 'better-sqlite3'

export type Lock = { release(): void }

/** Held here as well as by the caller: one that was collected as garbage would give its lock back. */
const held = new Set<Lock>()

/** How often a held lock is tried again while waiting for it. */
const RETRY_MS = 50

/**
 * Takes an exclusive lock on a file (made where missing), waiting up to `waitMs`. Null where another process holds it.
 * SQLite takes the lock because Node itself offers none; the file stays empty and stays behind.
 */
export async function takeLock(file: string, waitMs = 0): Promise<Lock | null> {
  const end = performance.now() + waitMs
  for (;;) {
    const lock = tryLock(file)
    if (lock !== null || performance.now() >= end) return lock
    await new Promise(resolve => setTimeout(resolve, RETRY_MS))
  }
}

function tryLock(file: string): Lock | null {
  const sqlite = new Sqlite(file, { timeout: 0 })
  try {
    chmodSync(file, 0o600)
    // In memory, so that a killed holder leaves no journal behind.
    sqlite.pragma('journal_mode = MEMORY')
    sqlite.exec('BEGIN EXCLUSIVE')
    const lock: Lock = {
      release() {
        held.delete(lock)
        sqlite.close()
      },
    }
    held.add(lock)
    return lock
  } catch (error) {
    sqlite.close()
    if (String((error as { code?: string }).code).startsWith('SQLITE_BUSY')) return null
    throw error
  }
}
