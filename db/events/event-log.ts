// Appending events: collected, written in batches, dropped where they cannot be. Nothing here throws at a writer of events,
// and nobody waits for it.
import type { EventCount } from './event-batch.ts'
import { type EventFile, isDamage, isReplaced, openEventFile, setEventsAside } from './event-file.ts'
import type { EventKind } from './event-kind.ts'
import { prepareOutbox } from './event-outbox.ts'
import {
  addCount,
  type EventCounts,
  type NewEvent,
  prepareRows,
  ROWS_MAX,
  type WriteEvents,
  type Written,
} from './event-rows.ts'

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
  /** Where several machines share their events: these wait in the file for the way to all. */
  shared?: boolean
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
const FAILURE_REST_MS = 1_000
const FAILURE_QUIET_MS = 10_000

export function createEventLog(parts: EventLogOptions): EventLog {
  const { file, now } = parts
  const prepare = parts.shared === true ? prepareOutbox : prepareRows
  let open: { file: EventFile; write: WriteEvents } | null = null
  let waiting: NewEvent[] = []
  let counts: EventCounts = new Map()
  let dropped = 0
  let restUntil = 0
  let saidAt = Number.NEGATIVE_INFINITY
  const timer = setInterval(flush, parts.everyMs ?? FLUSH_MS)
  timer.unref()

  function opened() {
    if (open !== null && isReplaced(file, open.file)) shut()
    if (open === null) {
      const opening = openEventFile(file, now())
      open = { file: opening, write: prepare(opening.sqlite, parts.node, parts.rowsMax ?? ROWS_MAX) }
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

  /** Events that no row can be made of, or that waited for too long: they keep no others from being written. */
  function leftOut({ failed, lost }: Written): void {
    const count = failed.length + lost
    if (count === 0) return
    dropped += count
    parts.onDropped(count)
    if (failed.length > 0) parts.onFailed(failed[0])
  }

  function withDropped(events: readonly NewEvent[]): readonly NewEvent[] {
    if (dropped === 0) return events
    return [...events, { at: now(), kind: 'events_dropped', detail: { count: dropped } }]
  }

  return {
    tally: (kind, reason, at, times = 1) => addCount(counts, kind, reason, at, times),
    append(event, counted) {
      if (counted === undefined) addCount(counts, event.kind, event.reason, event.at)
      if (waiting.length < WAITING_MAX) waiting.push(event)
      else {
        dropped += 1
        parts.onDropped(1)
      }
    },
    writeMarked(events, mark) {
      const own: EventCounts = new Map()
      for (const { kind, reason, at } of events) addCount(own, kind, reason, at)
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
