// Appending events: collected, written in batches, dropped where they cannot be. Nothing here throws at a writer of events,
// and nobody waits for it.
import type { Database } from 'better-sqlite3'
import { type EventFile, isDamage, isReplaced, openEventFile, setEventsAside } from './event-file.ts'
import type { EventKind } from './event-kind.ts'

/** `at` in ms since the epoch; `detail` is plain and small. */
export type NewEvent = {
  at: number
  kind: EventKind
  deviceId?: string | null | undefined
  fingerprint?: string | null | undefined
  reason?: string | null | undefined
  detail?: Readonly<Record<string, unknown>>
}

export type EventLog = {
  /** `counted` where its minute has counted it already. */
  append(event: NewEvent, counted?: 'counted'): void
  /** Counts in its minute what gets no row of its own. */
  tally(kind: EventKind, reason: string | null, at: number, times?: number): void
  /**
   * Writes these at once, and with them how far their source was read. False where the log takes nothing now: then the
   * source is read again from there.
   */
  writeMarked(events: readonly NewEvent[], mark: { name: string; value: number }): boolean
  /** How far a source was read: null where nobody has noted it, undefined where that cannot be read now. */
  marked(name: string): number | null | undefined
  /** Writes what waits, if it can. */
  close(): void
}

export type EventLogOptions = {
  file: string
  /** The writer: the name of a broker node, or null. */
  node: string | null
  now: () => number
  everyMs?: number
  rowsMax?: number
  /** Told of the counts that were written, by minute, kind and reason. */
  onCounted?: (counts: Iterable<EventCount>) => void
  onDropped(count: number): void
  /** Said at most once in ten seconds. */
  onFailed(error: unknown): void
  onSetAside(file: string, error: unknown): void
}

const FLUSH_MS = 100
const WAITING_MAX = 10_000
const BATCH_MAX = 2_000
const DETAIL_CHARACTERS_MAX = 2_048
const ROWS_MAX = 200_000
const KEPT_MS = 7 * 86_400_000
const TRIM_EVERY_MS = 2_000
const TRIMMED_AT_ONCE = 20_000
const FAILURE_REST_MS = 1_000
const FAILURE_QUIET_MS = 10_000
const MINUTE_MS = 60_000
/** Minutes times kinds times reasons, for as long as nothing can be written. */
const COUNTS_MAX = 5_000

/** `minute` in ms since the epoch; `reason` empty where there is none. */
export type EventCount = { minute: number; kind: EventKind; reason: string; count: number }
type Counts = Map<string, EventCount>
/** `failed` holds what was thrown at events that are no rows; all others were written. */
type Written = { failed: readonly unknown[] }

export function createEventLog(parts: EventLogOptions): EventLog {
  const { file, now } = parts
  let open: { file: EventFile; write: ReturnType<typeof prepareWrite> } | null = null
  let waiting: NewEvent[] = []
  let counts: Counts = new Map()
  let dropped = 0
  let restUntil = 0
  let saidAt = Number.NEGATIVE_INFINITY
  const timer = setInterval(flush, parts.everyMs ?? FLUSH_MS)
  timer.unref()

  function opened() {
    if (open !== null && isReplaced(file, open.file)) shut()
    if (open === null) {
      const opening = openEventFile(file, now())
      open = { file: opening, write: prepareWrite(opening.sqlite, parts.node, parts.rowsMax ?? ROWS_MAX) }
    }
    return open
  }

  function shut(): void {
    open?.file.sqlite.close()
    open = null
  }

  /** Null where the log takes nothing now. */
  function attempt<T>(work: (log: NonNullable<typeof open>) => T): T | null {
    if (performance.now() < restUntil) return null
    try {
      return work(opened())
    } catch (error) {
      // Somebody else writes: the next turn is soon.
      if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) return null
      restUntil = performance.now() + FAILURE_REST_MS
      failed(error)
      return null
    }
  }

  function failed(error: unknown): void {
    try {
      const inode = open?.file.inode ?? null
      shut()
      const aside = isDamage(error) ? setEventsAside(file, inode, now()) : null
      if (aside !== null) {
        restUntil = 0
        parts.onSetAside(aside, error)
        return
      }
    } catch (cause) {
      error = cause
    }
    if (performance.now() - saidAt < FAILURE_QUIET_MS) return
    saidAt = performance.now()
    parts.onFailed(error)
  }

  function flush(): void {
    if (waiting.length === 0 && counts.size === 0) return
    const batch = waiting.slice(0, BATCH_MAX)
    const written = attempt(({ write }) => write(withDropped(batch), counts, null, now()))
    if (written === null) return
    dropped = 0
    leftOut(written)
    parts.onCounted?.(counts.values())
    counts = new Map()
    waiting = waiting.slice(batch.length)
  }

  /** Events that no row can be made of: they keep no others from being written. */
  function leftOut({ failed }: Written): void {
    if (failed.length === 0) return
    dropped += failed.length
    parts.onDropped(failed.length)
    parts.onFailed(failed[0])
  }

  function withDropped(events: readonly NewEvent[]): readonly NewEvent[] {
    if (dropped === 0) return events
    return [...events, { at: now(), kind: 'events_dropped', detail: { count: dropped } }]
  }

  return {
    tally: (kind, reason, at, times = 1) => addTo(counts, kind, reason, at, times),
    append(event, counted) {
      if (counted === undefined) addTo(counts, event.kind, event.reason, event.at)
      if (waiting.length < WAITING_MAX) waiting.push(event)
      else {
        dropped += 1
        parts.onDropped(1)
      }
    },
    writeMarked(events, mark) {
      const own: Counts = new Map()
      for (const { kind, reason, at } of events) addTo(own, kind, reason, at)
      const written = attempt(({ write }) => write(events, own, mark, now()))
      if (written === null) return false
      leftOut(written)
      parts.onCounted?.(own.values())
      return true
    },
    marked(name) {
      const found = attempt(({ file: { sqlite } }) => ({
        value: sqlite.prepare<[string], number>('SELECT value FROM marks WHERE name = ?').pluck().get(name),
      }))
      return found === null ? undefined : (found.value ?? null)
    },
    close() {
      clearInterval(timer)
      restUntil = 0
      // All of it, unless nothing is taken any more.
      let before: number
      do {
        before = waiting.length
        flush()
      } while (waiting.length > 0 && waiting.length < before)
      shut()
    },
  }
}

function prepareWrite(sqlite: Database, node: string | null, rowsMax: number) {
  const insert = sqlite.prepare(
    `INSERT INTO events (at, kind, device_id, fingerprint, reason, node, detail) VALUES (?, ?, ?, ?, ?, ?, ?)`,
  )
  const count = sqlite.prepare(
    `INSERT INTO event_minutes (minute, kind, reason, count) VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET count = count + excluded.count`,
  )
  const mark = sqlite.prepare(
    'INSERT INTO marks (name, value) VALUES (@name, @value) ON CONFLICT DO UPDATE SET value = @value',
  )
  const trim = prepareTrim(sqlite, rowsMax)
  let trimmedAt = Number.NEGATIVE_INFINITY

  return sqlite.transaction(
    (
      events: readonly NewEvent[],
      counts: Counts,
      marked: { name: string; value: number } | null,
      at: number,
    ): Written => {
      const failed: unknown[] = []
      for (const event of events) {
        const { kind, deviceId = null, fingerprint = null, reason = null, detail = {} } = event
        try {
          insert.run(event.at, kind, deviceId, fingerprint, reason, node, textOf(detail))
        } catch (error) {
          if (isOfTheFile(error)) throw error
          failed.push(error)
        }
      }
      for (const one of counts.values()) count.run(one.minute, one.kind, one.reason, one.count)
      if (marked !== null) mark.run(marked)
      if (Math.abs(at - trimmedAt) >= TRIM_EVERY_MS) {
        trimmedAt = at
        trim(at)
      }
      return { failed }
    },
  ).immediate
}

/** Whether SQLite could not write at all, rather than not write this. */
function isOfTheFile(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && code.startsWith('SQLITE_') && !code.startsWith('SQLITE_CONSTRAINT')
}

/** A bounded number at once, more than comes in between. */
function prepareTrim(sqlite: Database, rowsMax: number): (at: number) => void {
  const beyond = sqlite.prepare(
    `DELETE FROM events WHERE seq IN (SELECT seq FROM events
       WHERE seq <= (SELECT max(seq) FROM events) - ? ORDER BY seq LIMIT ${TRIMMED_AT_ONCE})`,
  )
  const old = sqlite.prepare(
    `DELETE FROM events WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM events ORDER BY seq LIMIT ${TRIMMED_AT_ONCE})
       WHERE at < ?)`,
  )
  const oldest = sqlite.prepare<[], number>('SELECT at FROM events ORDER BY seq LIMIT 1').pluck()
  const minutes = sqlite.prepare('DELETE FROM event_minutes WHERE minute < ?')
  return at => {
    beyond.run(rowsMax)
    if ((oldest.get() ?? at) < at - KEPT_MS) old.run(at - KEPT_MS)
    minutes.run(at - KEPT_MS)
  }
}

function addTo(
  counts: Counts,
  kind: EventKind,
  reason: string | null | undefined,
  at: number,
  times = 1,
): void {
  const minute = Math.floor(at / MINUTE_MS) * MINUTE_MS
  const key = `${minute} ${kind} ${reason ?? ''}`
  const known = counts.get(key)
  if (known !== undefined) known.count += times
  else if (counts.size < COUNTS_MAX) counts.set(key, { minute, kind, reason: reason ?? '', count: times })
}

function textOf(detail: object): string {
  const text = JSON.stringify(detail)
  return text.length <= DETAIL_CHARACTERS_MAX ? text : '{}'
}
