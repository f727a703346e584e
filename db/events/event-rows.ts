// How events get into the file where one machine keeps its own: rows, counts per minute and marks in one transaction, within bounds.
import type { Database } from 'better-sqlite3'
import { DETAIL_CHARACTERS_MAX, type EventCount, type Mark } from './event-batch.ts'
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
export type EventCounts = Map<string, EventCount>
/** `failed` holds what was thrown at events that are no rows, `lost` is how many had no room; all others were written. */
export type Written = { failed: readonly unknown[]; lost: number }
export type WriteEvents = (
  events: readonly NewEvent[],
  counts: EventCounts,
  mark: Mark | null,
  at: number,
) => Written

export const ROWS_MAX = 200_000
export const EVENTS_KEPT_MS = 7 * 86_400_000
const TRIM_EVERY_MS = 2_000
const TRIMMED_AT_ONCE = 20_000
const MINUTE_MS = 60_000
/** Minutes times kinds times reasons, for as long as nothing can be written. */
const COUNTS_MAX = 5_000

export function prepareRows(sqlite: Database, node: string | null, rowsMax: number): WriteEvents {
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
    (events: readonly NewEvent[], counts: EventCounts, marked: Mark | null, at: number): Written => {
      const failed: unknown[] = []
      for (const event of events) {
        const { kind, deviceId = null, fingerprint = null, reason = null, detail = {} } = event
        try {
          insert.run(event.at, kind, deviceId, fingerprint, reason, node, detailText(detail))
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
      return { failed, lost: 0 }
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
    if ((oldest.get() ?? at) < at - EVENTS_KEPT_MS) old.run(at - EVENTS_KEPT_MS)
    minutes.run(at - EVENTS_KEPT_MS)
  }
}

/** Counts it in its minute. */
export function addCount(
  counts: EventCounts,
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

export function detailText(detail: object): string {
  const text = JSON.stringify(detail)
  return text.length <= DETAIL_CHARACTERS_MAX ? text : '{}'
}
