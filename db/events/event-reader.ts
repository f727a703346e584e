// Reading events: what is newer than a position, pages of what has been, and counts per minute. A file that is gone, replaced
// or damaged reads as one without events; the next look finds what lies under the name then.
import { type EventFile, isReplaced, readEventFile } from './event-file.ts'
import type { EventKind } from './event-kind.ts'

export type Event = {
  seq: number
  at: number
  kind: EventKind
  deviceId: string | null
  fingerprint: string | null
  reason: string | null
  node: string | null
  detail: Record<string, unknown>
}
type EventFilter = {
  device?: string | undefined
  kind?: EventKind | undefined
  reason?: string | undefined
  /** In ms since the epoch. */
  since?: number | undefined
  /** For a caller that may not see all: asked of every event that the rest lets through. */
  maySee?: (event: Event) => boolean
}
export type MinuteCount = { minute: number; kind: EventKind; reason: string; count: number }

export type EventReader = {
  /** Grows whenever somebody else wrote: a cheap reason to look. Null where there is nothing to read. */
  dataVersion(): number | null
  latestSeq(): number
  /** A position such that all events from then on (ms since the epoch) come after it; a minute of earlier ones may, too. */
  positionAt(since: number): number
  /** Oldest first; at most `limit`. A position of another file counts as one before all events, where they are not shared. */
  after(seq: number, limit: number): Event[]
  /** Newest first. `next` is to be continued from, also where there are fewer than asked for. */
  page(filter: EventFilter, before: number | null, limit: number): { items: Event[]; next: number | null }
  minutes(since: number): MinuteCount[]
  close(): void
}

type Row = Omit<Event, 'detail'> & { detail: string }

const ROWS_SEEN_MAX = 5_000
const ROWS_AT_ONCE = 500
const LOOK_EVERY_MS = 500
const FAILURE_QUIET_MS = 10_000
/** Events of several processes are written within so long of each other. */
const DISORDER_MS = 60_000
const columns = 'seq, at, kind, device_id AS deviceId, fingerprint, reason, node, detail'

/**
 * `onFailed` hears of trouble at most once in ten seconds. `shared` where events are numbered for all machines: a position beyond them is of
 * one that has read more, and not of another file.
 */
export function createEventReader(
  file: string,
  onFailed: (error: unknown) => void,
  shared = false,
): EventReader {
  let open: (EventFile & ReturnType<typeof statementsOf>) | null = null
  let saidAt = Number.NEGATIVE_INFINITY
  let lookedAt = Number.NEGATIVE_INFINITY

  function shut(): void {
    open?.sqlite.close()
    open = null
  }

  function opened() {
    if (performance.now() - lookedAt >= LOOK_EVERY_MS) {
      lookedAt = performance.now()
      if (open !== null && isReplaced(file, open)) shut()
      if (open === null) {
        const found = readEventFile(file)
        if (found !== null) open = { ...found, ...statementsOf(found) }
      }
    }
    return open
  }

  function ask<T>(fallback: T, question: (statements: NonNullable<typeof open>) => T): T {
    try {
      const statements = opened()
      return statements === null ? fallback : question(statements)
    } catch (error) {
      shut()
      const isBusy = (error as { code?: string }).code?.startsWith('SQLITE_BUSY')
      if (!isBusy && performance.now() - saidAt >= FAILURE_QUIET_MS) {
        saidAt = performance.now()
        onFailed(error)
      }
      return fallback
    }
  }

  return {
    dataVersion: () => ask<number | null>(null, ({ version }) => version.get() as number),
    latestSeq: () => ask(0, ({ latest }) => latest.get() ?? 0),
    positionAt: since =>
      ask(0, ({ oldest, latest, atOrBefore }) => {
        let low = (oldest.get() ?? 1) - 1
        let high = latest.get() ?? 0
        // Times grow with the numbers, but for the disorder.
        while (low < high) {
          const middle = Math.ceil((low + high) / 2)
          const found = atOrBefore.get(middle)
          if (found === undefined || found < since - DISORDER_MS) low = middle
          else high = middle - 1
        }
        return low
      }),
    after: (seq, limit) =>
      ask<Event[]>([], ({ latest, newer }) => {
        const begin = !shared && seq > (latest.get() ?? 0) ? 0 : seq
        return newer.all(begin, limit).map(toEvent)
      }),
    page: (filter, before, limit) =>
      ask<{ items: Event[]; next: number | null }>({ items: [], next: null }, ({ older }) => {
        const walk = filter.device !== undefined ? 'device' : filter.kind !== undefined ? 'kind' : 'all'
        const values = walk === 'all' ? [] : [filter[walk] as string]
        const items: Event[] = []
        let next = before ?? Number.MAX_SAFE_INTEGER
        for (let seen = 0; seen < ROWS_SEEN_MAX; ) {
          const rows = older[walk].all(...values, next, ROWS_AT_ONCE) as Row[]
          for (const row of rows) {
            if (filter.since !== undefined && row.at < filter.since - DISORDER_MS)
              return { items, next: null }
            next = row.seq
            const event = passes(filter, row) ? toEvent(row) : null
            if (event !== null && (filter.maySee?.(event) ?? true)) items.push(event)
            if (items.length === limit) return { items, next }
          }
          if (rows.length < ROWS_AT_ONCE) return { items, next: null }
          seen += rows.length
        }
        return { items, next }
      }),
    minutes: since => ask<MinuteCount[]>([], ({ minutes }) => minutes.all(since)),
    close: shut,
  }
}

function statementsOf({ sqlite }: EventFile) {
  const older = (where: string) =>
    sqlite.prepare(`SELECT ${columns} FROM events WHERE ${where} seq < ? ORDER BY seq DESC LIMIT ?`)
  return {
    version: sqlite.prepare('PRAGMA data_version').pluck(),
    latest: sqlite.prepare<[], number | null>('SELECT max(seq) FROM events').pluck(),
    oldest: sqlite.prepare<[], number | null>('SELECT min(seq) FROM events').pluck(),
    atOrBefore: sqlite
      .prepare<[number], number>('SELECT at FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1')
      .pluck(),
    newer: sqlite.prepare<[number, number], Row>(
      `SELECT ${columns} FROM events WHERE seq > ? ORDER BY seq LIMIT ?`,
    ),
    older: { all: older(''), device: older('device_id = ? AND'), kind: older('kind = ? AND') },
    minutes: sqlite.prepare<[number], MinuteCount>(
      'SELECT minute, kind, reason, count FROM event_minutes WHERE minute >= ? ORDER BY minute',
    ),
  }
}

function passes(filter: EventFilter, row: Row): boolean {
  return (
    (filter.device === undefined || filter.device === row.deviceId) &&
    (filter.kind === undefined || filter.kind === row.kind) &&
    (filter.reason === undefined || filter.reason === row.reason) &&
    (filter.since === undefined || row.at >= filter.since)
  )
}

function toEvent({ detail, ...row }: Row): Event {
  return { ...row, detail: detailOf(detail) }
}

/** Empty where it is no JSON: one damaged row hides no other. */
export function detailOf(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
