// The file of events, beside the registry: notifications, not the record. The process that opens it first makes it; brokers share it with
// provisioning. One that is damaged is set aside; a process that still has it open finds the new one under its name.
import { chmodSync, existsSync, renameSync, statSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'
import { isDamage } from '../sessions/session-file.ts'

export type EventFile = { sqlite: Database; inode: number }

const VERSION = 1
/** `at` and `minute` in ms since the epoch. */
const SCHEMA = `
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  device_id TEXT,
  fingerprint TEXT,
  reason TEXT,
  node TEXT,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_device ON events (device_id, seq) WHERE device_id IS NOT NULL;
CREATE INDEX events_by_kind ON events (kind, seq);
CREATE TABLE event_minutes (
  minute INTEGER NOT NULL,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (minute, kind, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`
/** Numbers begin with the time in µs: those of a new file lie beyond all of the one before, so that readers go on. */
const SEQ_PER_MS = 1_000

/** Opens or makes the file (0600). Throws what SQLite says; `isDamage` tells what is to be set aside. */
export function openEventFile(file: string, now: number): EventFile {
  let sqlite: Database | null = null
  try {
    // Nobody waits for a lock: what cannot be written now is written with what comes next.
    sqlite = new Sqlite(file, { timeout: 0 })
    chmodSync(file, 0o600)
    sqlite.pragma('journal_mode = WAL')
    // Its loss at a power failure is bearable; waiting for the disk beside every admission is not.
    sqlite.pragma('synchronous = OFF')
    const fresh = sqlite
    sqlite
      .transaction(() => {
        const version = fresh.pragma('user_version', { simple: true })
        if (version === VERSION) return
        if (version !== 0) throw new Error(`the event log is of version ${version}, this knows ${VERSION}`)
        fresh.exec(SCHEMA)
        fresh.prepare("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)").run(now * SEQ_PER_MS)
        fresh.pragma(`user_version = ${VERSION}`)
      })
      .immediate()
    return { sqlite, inode: statSync(file).ino }
  } catch (error) {
    sqlite?.close()
    throw error
  }
}

/** Opens the file for reading; null where there is none yet. */
export function readEventFile(file: string): EventFile | null {
  if (!existsSync(file)) return null
  const sqlite = new Sqlite(file, { readonly: true, timeout: 0 })
  try {
    if (sqlite.pragma('user_version', { simple: true }) === VERSION)
      return { sqlite, inode: statSync(file).ino }
    sqlite.close()
    return null
  } catch (error) {
    sqlite.close()
    throw error
  }
}

/** Whether another file lies under the name, or none. */
export function isReplaced(file: string, { inode }: EventFile): boolean {
  return statSync(file, { throwIfNoEntry: false })?.ino !== inode
}

/** Gives its new name; null where somebody else has set it aside already. `inode` is of the file that was found damaged. */
export function setEventsAside(file: string, inode: number | null, now: number): string | null {
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined || (inode !== null && found.ino !== inode)) return null
  const aside = `${file}.damaged-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}`
  for (const part of ['', '-wal', '-shm']) if (existsSync(file + part)) renameSync(file + part, aside + part)
  return aside
}

export { isDamage }
