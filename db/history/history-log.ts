// Adding to the history: figures are collected and written in batches. Nothing here throws at a caller, and nobody waits for it.
import type { Database } from 'better-sqlite3'
import type { Figure } from '../events/event-batch.ts'
import { isReplaced, setEventsAside } from '../events/event-file.ts'
import { isDamage } from '../sessions/session-file.ts'
import { type HistoryFile, historySteps, openHistoryFile } from './history-file.ts'

export type HistoryLog = {
  /** Adds to a counter. `at` in ms since the epoch. */
  add(name: string, label: string, amount: number, at: number): void
  /** One sample of a value that rises and falls, an integer. */
  sample(name: string, label: string, value: number, at: number): void
  /** Writes what waits, if it can. */
  close(): void
}

export type HistoryLogOptions = {
  file: string
  now: () => number
  everyMs?: number
  /** Called before each write: the moment to add figures that are read in intervals. */
  beforeWrite?: () => void
  /** Where several machines share their history: takes what would be written here. False where it cannot now. */
  send?: ((figures: readonly Figure[]) => boolean) | undefined
  /** Called at most once in ten seconds. */
  onFailed(error: unknown): void
  onSetAside(file: string, error: unknown): void
}

const HISTORY_EVERY_MS = 2_000
/** What all machines get is sent less often than it is looked at. */
const SENT_EVERY = 5
const MINUTE_MS = historySteps.minute.ms
/** Minutes times names times labels, for as long as nothing can be written. */
const WAITING_MAX = 5_000
const FAILURE_REST_MS = 10_000
const TRIM_EVERY_MS = 60_000

export function createHistoryLog(parts: HistoryLogOptions): HistoryLog {
  const { file, now } = parts
  let open: { file: HistoryFile; write: ReturnType<typeof prepareFigures> } | null = null
  let waiting = new Map<string, Figure>()
  let restUntil = 0
  let looks = 0
  const timer = setInterval(look, parts.everyMs ?? HISTORY_EVERY_MS)
  timer.unref()

  function note(name: string, label: string, at: number, total: number, samples: number): void {
    const minute = Math.floor(at / MINUTE_MS) * MINUTE_MS
    const key = `${minute} ${name} ${label}`
    const most = samples > 0 ? total : 0
    const known = waiting.get(key)
    if (known !== undefined) {
      known.total += total
      known.samples += samples
      known.most = Math.max(known.most, most)
    } else if (waiting.size < WAITING_MAX) waiting.set(key, { minute, name, label, total, samples, most })
  }

  function look(): void {
    parts.beforeWrite?.()
    looks += 1
    if (parts.send === undefined) flush()
    else if (looks % SENT_EVERY === 0) send()
  }

  function send(): void {
    if (waiting.size > 0 && parts.send!([...waiting.values()])) waiting = new Map()
  }

  function flush(): void {
    if (waiting.size === 0 || performance.now() < restUntil) return
    try {
      if (open !== null && isReplaced(file, open.file)) shut()
      if (open === null) {
        const opened = openHistoryFile(file)
        open = { file: opened, write: prepareFigures(opened.sqlite) }
      }
      open.write([...waiting.values()], now())
      waiting = new Map()
    } catch (error) {
      // Another process writes: the next turn is soon.
      if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) return
      restUntil = performance.now() + FAILURE_REST_MS
      failed(error)
    }
  }

  function failed(error: unknown): void {
    const inode = open?.file.inode ?? null
    shut()
    try {
      const aside = isDamage(error) ? setEventsAside(file, inode, now()) : null
      if (aside === null) parts.onFailed(error)
      else {
        restUntil = 0
        parts.onSetAside(aside, error)
      }
    } catch (cause) {
      parts.onFailed(cause)
    }
  }

  function shut(): void {
    open?.file.sqlite.close()
    open = null
  }

  return {
    add: (name, label, amount, at) => note(name, label, at, amount, 0),
    sample: (name, label, value, at) => note(name, label, at, value, 1),
    close() {
      clearInterval(timer)
      restUntil = 0
      look()
      if (parts.send !== undefined) send()
      else flush() // anew, where the file was set aside
      shut()
    },
  }
}

/** Adds figures to the rows of each step, in one transaction. */
export function prepareFigures(sqlite: Database) {
  const add = sqlite.prepare(
    `INSERT INTO figures (step, at, name, label, total, samples, most) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET total = total + excluded.total, samples = samples + excluded.samples,
       most = max(most, excluded.most)`,
  )
  const trim = sqlite.prepare('DELETE FROM figures WHERE step = ? AND at < ?')
  const steps = Object.values(historySteps)
  let trimmedAt = Number.NEGATIVE_INFINITY
  return sqlite.transaction((figures: readonly Figure[], at: number): void => {
    for (const { minute, name, label, total, samples, most } of figures)
      for (const { ms } of steps)
        add.run(ms, Math.floor(minute / ms) * ms, name, label, Math.round(total), samples, Math.round(most))
    if (Math.abs(at - trimmedAt) < TRIM_EVERY_MS) return
    trimmedAt = at
    for (const { ms, keptMs } of steps) trim.run(ms, at - keptMs)
  }).immediate
}
