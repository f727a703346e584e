// Events of this machine that wait, in the file, for their way to all machines: where several share their events, each is numbered once
// for all before anybody reads it. What finds no room is the oldest.
import type { Database } from 'better-sqlite3'
import { type EventRow, encodePart, type Mark } from './event-batch.ts'
import {
  detailText,
  type EventCounts,
  type NewEvent,
  ROWS_MAX,
  type WriteEvents,
  type Written,
} from './event-rows.ts'

/** `content` is an encoded part, `events` how many numbers it takes. */
export type OutboxRow = { number: number; events: number; content: string }

const SCHEMA = `
CREATE TABLE IF NOT EXISTS outbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  events INTEGER NOT NULL,
  -- Of all before and of this one, since it was empty last.
  waiting INTEGER NOT NULL,
  content TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outbox_source (id TEXT NOT NULL) STRICT;
INSERT INTO outbox_source (id) SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM outbox_source);
`
const EVENTS_OF_PART_MAX = 500

/** Makes the tables where they are not there. */
export function prepareOutbox(sqlite: Database, node: string | null, rowsMax = ROWS_MAX): WriteEvents {
  sqlite.transaction(() => void sqlite.exec(SCHEMA)).immediate()
  const before = sqlite.prepare<[], number>('SELECT max(waiting) FROM outbox').pluck()
  const insert = sqlite.prepare('INSERT INTO outbox (events, waiting, content) VALUES (?, ?, ?)')
  const lose = sqlite
    .prepare<[number], number>('DELETE FROM outbox WHERE waiting <= ? RETURNING events')
    .pluck()
  const mark = sqlite.prepare(
    'INSERT INTO marks (name, value) VALUES (@name, @value) ON CONFLICT DO UPDATE SET value = @value',
  )

  function write(events: readonly NewEvent[], counts: EventCounts, marked: Mark | null): Written {
    const { rows, failed } = rowsOf(events, node)
    let waiting = before.get() ?? 0
    for (let at = 0; at === 0 || at < rows.length; at += EVENTS_OF_PART_MAX) {
      const some = rows.slice(at, at + EVENTS_OF_PART_MAX)
      const part = encodePart({
        events: some,
        counts: at === 0 ? [...counts.values()] : [],
        marks: at === 0 && marked !== null ? [marked] : [],
      })
      const size = Math.max(1, some.length)
      waiting += size
      insert.run(size, waiting, part)
    }
    if (marked !== null) mark.run(marked)
    const lost = lose.all(waiting - rowsMax)
    return { failed, lost: lost.reduce((sum, count) => sum + count, 0) }
  }
  return sqlite.transaction(write).immediate
}

/** `failed` holds what was thrown at events that are no rows. */
export function rowsOf(
  events: readonly NewEvent[],
  node: string | null,
): { rows: EventRow[]; failed: unknown[] } {
  const rows: EventRow[] = []
  const failed: unknown[] = []
  for (const event of events)
    try {
      const { at, kind, deviceId = null, fingerprint = null, reason = null, detail = {} } = event
      rows.push({ at, kind, deviceId, fingerprint, reason, node, detail: detailText(detail) })
    } catch (error) {
      failed.push(error)
    }
  return { rows, failed }
}

/** What waits, to be read and sent. */
export type Outbox = {
  /** Figures of the history wait like events. */
  put(content: string): void
  /** Of this file alone, for ever. */
  source: string
  after(number: number, limit: number): OutboxRow[]
  /** These are with all. */
  sent(upTo: number): void
}

export function prepareOutboxReader(sqlite: Database): Outbox {
  sqlite.transaction(() => void sqlite.exec(SCHEMA)).immediate()
  const rows = sqlite.prepare<[number, number], OutboxRow>(
    'SELECT number, events, content FROM outbox WHERE number > ? ORDER BY number LIMIT ?',
  )
  const insert = sqlite.prepare(
    'INSERT INTO outbox (events, waiting, content) VALUES (1, coalesce((SELECT max(waiting) FROM outbox), 0) + 1, ?)',
  )
  const remove = sqlite.prepare('DELETE FROM outbox WHERE number <= ?')
  return {
    source: sqlite.prepare<[], string>('SELECT id FROM outbox_source').pluck().get()!,
    put: content => void insert.run(content),
    after: (number, limit) => rows.all(number, limit),
    sent: upTo => void remove.run(upTo),
  }
}
