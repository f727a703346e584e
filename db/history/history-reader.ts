// Reading the history: the figures of a step since a moment. A file that is missing or cannot be read gives none.
import { existsSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { type HistoryStep, historySteps } from './history-file.ts'

/** `total`, `samples` and `most` as the file has them. */
export type HistoryFigure = {
  at: number
  name: string
  label: string
  total: number
  samples: number
  most: number
}

export type HistoryReader = {
  /** In order of time. `from` is the first moment, in ms since the epoch. */
  figures(step: HistoryStep, from: number): HistoryFigure[]
}

/** Opens the file for each question, which finds it again after it was set aside. */
export function createHistoryReader(file: string, onFailed: (error: unknown) => void): HistoryReader {
  return {
    figures(step, from) {
      if (!existsSync(file)) return []
      try {
        using open = disposable(new Sqlite(file, { readonly: true, timeout: 0 }))
        return open.sqlite
          .prepare<[number, number], HistoryFigure>(
            `SELECT at, name, label, total, samples, most FROM figures
             WHERE step = ? AND at >= ? ORDER BY at, name, label`,
          )
          .all(historySteps[step].ms, from)
      } catch (error) {
        onFailed(error)
        return []
      }
    },
  }
}

function disposable(sqlite: InstanceType<typeof Sqlite>) {
  return { sqlite, [Symbol.dispose]: () => void sqlite.close() }
}
