// The file of the history, beside the registry: figures of the service by minute, ten minutes, hour and day, each step kept for
// its own time. Bounded by those times; no decision depends on it.
import { chmodSync, statSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Each figure is added to one row of each step. `keptMs` from the begin of the row. */
export const historySteps = {
  minute: { ms: MINUTE_MS, keptMs: 2 * HOUR_MS },
  tenMinutes: { ms: 10 * MINUTE_MS, keptMs: 2 * DAY_MS },
  hour: { ms: HOUR_MS, keptMs: 32 * DAY_MS },
  day: { ms: DAY_MS, keptMs: 5 * 366 * DAY_MS },
} as const
export type HistoryStep = keyof typeof historySteps

export type HistoryFile = { sqlite: Database; inode: number }

const VERSION = 1
/**
 * `step` and `at` in ms, `at` since the epoch. Of a counter, `total` is the sum. Of a sampled value, `total` is the sum of all
 * samples, `samples` their number and `most` the largest.
 */
const SCHEMA = `
CREATE TABLE figures (
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  name TEXT NOT NULL,
  label TEXT NOT NULL,
  total INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  most INTEGER NOT NULL,
  PRIMARY KEY (step, at, name, label)
) STRICT, WITHOUT ROWID;
`

/** Opens or makes the file (0600). Throws what SQLite says. */
export function openHistoryFile(file: string): HistoryFile {
  let sqlite: Database | null = null
  try {
    // Nobody waits for a lock: what cannot be written now is written with the next batch.
    const opened = new Sqlite(file, { timeout: 0 })
    sqlite = opened
    chmodSync(file, 0o600)
    opened.pragma('journal_mode = WAL')
    // Of a power failure it survives all but the last seconds; no commit waits for the disk.
    opened.pragma('synchronous = NORMAL')
    opened
      .transaction(() => {
        const version = opened.pragma('user_version', { simple: true })
        if (version === VERSION) return
        if (version !== 0) throw new Error(`the history is of version ${version}, this knows ${VERSION}`)
        opened.exec(SCHEMA)
        opened.pragma(`user_version = ${VERSION}`)
      })
      .immediate()
    return { sqlite: opened, inode: statSync(file).ino }
  } catch (error) {
    sqlite?.close()
    throw error
  }
}
