// The figures of all machines in the history of this one: taken from the batches that they share, each once. For the one process that
// shows the history.
import type { Database } from 'better-sqlite3'
import { readBatch } from '../events/event-batch.ts'
import { isReplaced, setEventsAside } from '../events/event-file.ts'
import { isDamage } from '../sessions/session-file.ts'
import { type HistoryFile, openHistoryFile } from './history-file.ts'
import { prepareFigures } from './history-log.ts'

export type HistoryCopy = {
  /** Up to this number all are here. */
  position(): number
  /** Throws where they cannot be written now: then none of them was. */
  take(batches: readonly { last: number; content: string }[]): void
  close(): void
}

const SCHEMA =
  'CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID'
const POSITION = 'figures of all'

export function createHistoryCopy(parts: {
  file: string
  now: () => number
  onSetAside(file: string, error: unknown): void
}): HistoryCopy {
  const { file, now } = parts
  let open: (HistoryFile & { copy: ReturnType<typeof prepareCopy> }) | null = null

  function shut(): void {
    open?.sqlite.close()
    open = null
  }

  function attempt<T>(work: (copy: ReturnType<typeof prepareCopy>) => T): T {
    try {
      if (open !== null && isReplaced(file, open)) shut()
      if (open === null) {
        const found = openHistoryFile(file)
        open = { ...found, copy: prepareCopy(found.sqlite) }
      }
      return work(open.copy)
    } catch (error) {
      const inode = open?.inode ?? null
      if (isDamage(error)) {
        shut()
        const aside = setEventsAside(file, inode, now())
        if (aside !== null) parts.onSetAside(aside, error)
      }
      throw error
    }
  }

  return {
    position: () => attempt(copy => copy.position()),
    take: batches => attempt(copy => copy.take(batches, now())),
    close: shut,
  }
}

function prepareCopy(sqlite: Database) {
  sqlite.transaction(() => void sqlite.exec(SCHEMA)).immediate()
  const write = prepareFigures(sqlite)
  const read = sqlite.prepare<[string], number>('SELECT value FROM marks WHERE name = ?').pluck()
  const mark = sqlite.prepare(
    'INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
  )
  const position = () => read.get(POSITION) ?? 0
  return {
    position,
    take: sqlite.transaction((batches: Parameters<HistoryCopy['take']>[0], at: number): void => {
      const from = position()
      for (const { last, content } of batches) {
        if (last <= from) continue
        write(readBatch(content).figures, at)
        mark.run(POSITION, last)
      }
    }).immediate,
  }
}
