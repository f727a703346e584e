// The index of retained messages, a file of the broker beside the registry: topic, publisher and size of each, no payload. It is made anew at
// each start of the broker, so nothing of it has to last. No decision depends on it but what an operator bound to a group may clear.
import { chmodSync, existsSync, renameSync, rmSync, statSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'

/** `bytes` of its payload. `at` when it was retained, in ms since the epoch, where that is known; `expiresAt` likewise, null for never. */
export type RetainedFacts = {
  topic: string
  /** Null for the broker itself. */
  deviceId: string | null
  qos: 0 | 1 | 2
  bytes: number
  at: number | null
  expiresAt: number | null
}

/** What is new of a topic; `facts` is null where it retains nothing any more. */
export type RetainedNote = { topic: string; facts: RetainedFacts | null }

export type RetainedFile = {
  /** One transaction. Throws what SQLite says. */
  write(notes: readonly RetainedNote[]): void
  /** It holds all there is: readers find it from now on. */
  finish(): void
  close(): void
}

const RETAINED_VERSION = 1
const SCHEMA = `
CREATE TABLE retained (
  topic TEXT PRIMARY KEY,
  device_id TEXT,
  qos INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  at INTEGER,
  expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX retained_by_device ON retained (device_id, topic) WHERE device_id IS NOT NULL;
PRAGMA user_version = ${RETAINED_VERSION};
`

/** Begins a new index (0600) under another name, empty. Throws what SQLite says. */
export function beginRetainedFile(file: string): RetainedFile {
  const begun = `${file}.new`
  remove(begun)
  let sqlite = new Sqlite(begun, { timeout: 0 })
  let write: ReturnType<typeof prepareWrite>
  try {
    chmodSync(begun, 0o600)
    sqlite.pragma('journal_mode = MEMORY')
    sqlite.pragma('synchronous = OFF')
    sqlite.exec(SCHEMA)
    write = prepareWrite(sqlite)
  } catch (error) {
    sqlite.close()
    throw error
  }
  return {
    write: notes => write(notes),
    finish() {
      sqlite.close()
      // A reader has the one before open, or finds one of both under the name.
      remove(file, ['-wal', '-shm'])
      renameSync(begun, file)
      sqlite = new Sqlite(file, { timeout: 0 })
      sqlite.pragma('journal_mode = WAL')
      sqlite.pragma('synchronous = OFF')
      write = prepareWrite(sqlite)
    },
    close: () => void sqlite.close(),
  }
}

/** Null where there is none of this version. */
export function openRetainedFile(file: string): { sqlite: Database; inode: number } | null {
  if (!existsSync(file)) return null
  const sqlite = new Sqlite(file, { readonly: true, timeout: 0 })
  try {
    if (sqlite.pragma('user_version', { simple: true }) === RETAINED_VERSION)
      return { sqlite, inode: statSync(file).ino }
  } catch (error) {
    sqlite.close()
    throw error
  }
  sqlite.close()
  return null
}

function prepareWrite(sqlite: Database): (notes: readonly RetainedNote[]) => void {
  const put = sqlite.prepare<RetainedFacts>(
    `INSERT OR REPLACE INTO retained (topic, device_id, qos, bytes, at, expires_at)
     VALUES (@topic, @deviceId, @qos, @bytes, @at, @expiresAt)`,
  )
  const drop = sqlite.prepare<[string]>('DELETE FROM retained WHERE topic = ?')
  return sqlite.transaction((notes: readonly RetainedNote[]) => {
    for (const { topic, facts } of notes) {
      if (facts === null) drop.run(topic)
      else put.run(facts)
    }
  }).immediate
}

function remove(file: string, parts = ['', '-wal', '-shm', '-journal']): void {
  for (const part of parts) rmSync(file + part, { force: true })
}
