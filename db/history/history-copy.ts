// The figures of all machines in the history of this one: taken from the batches that they share, each once. For the one process that
// shows the history.
import type { Database } from 'better-sqlite3'
import { createCopiedFile } from '../events/copied-file.ts'
import { readBatch } from '../events/event-batch.ts'
import { openHistoryFile } from './history-file.ts'
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
  const { file, now, onSetAside } = parts
  const open = () => openHistoryFile(file)
  const { attempt, close } = createCopiedFile({ file, now, open, prepare: prepareCopy, onSetAside })

  return {
    position: () => attempt(copy => copy.position()),
    take: batches => attempt(copy => copy.take(batches, now())),
    close,
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
