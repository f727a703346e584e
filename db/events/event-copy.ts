// The events of all machines in the file of this one: batches in the order of their numbers, each once, also where two processes of a
// machine take them. Readers find them as if they had been written here.
import type { Database } from 'better-sqlite3'
import { createCopiedFile } from './copied-file.ts'
import { type Mark, readBatch } from './event-batch.ts'
import { openEventFile } from './event-file.ts'
import { type Outbox, prepareOutboxReader } from './event-outbox.ts'
import { EVENTS_KEPT_MS, ROWS_MAX } from './event-rows.ts'
import { fairShare } from './fair-share.ts'

/** `last` is the number of its last event, `numbers` how many it has; `source` is the outbox that it came from, null for none. */
export type EventBatch = { last: number; numbers: number; source: string | null; content: string }

export type EventCopy = {
  /** Up to this number all are here. */
  position(): number
  /** Throws where they cannot be written now: then none of them was. */
  take(batches: readonly EventBatch[]): void
  /** How far all machines have read a source, as one of them said before. */
  setMarks(marks: readonly Mark[]): void
  outbox(): Outbox
  close(): void
}

const POSITION = 'events of all'
/** No batch says anything of other marks: they are each machine's own. */
export const sharedMarks = /^webhook /
const TRIM_EVERY_MS = 60_000

export function createEventCopy(parts: {
  file: string
  now: () => number
  rowsMax?: number
  onSetAside(file: string, error: unknown): void
}): EventCopy {
  const { file, now } = parts
  const { attempt, close } = createCopiedFile({
    ...{ file, now, onSetAside: parts.onSetAside },
    open: () => openEventFile(file, now()),
    prepare(sqlite) {
      const outbox = prepareOutboxReader(sqlite)
      return { outbox, copy: prepareCopy(sqlite, outbox.source, parts.rowsMax ?? ROWS_MAX) }
    },
  })

  return {
    position: () => attempt(({ copy }) => copy.position()),
    take: batches => attempt(({ copy }) => copy.take(batches, now())),
    setMarks: marks => attempt(({ copy }) => copy.setMarks(marks)),
    outbox: () => attempt(({ outbox }) => outbox),
    close,
  }
}

function prepareCopy(sqlite: Database, own: string, rowsMax: number) {
  // Of copies alone: counting without it reads all of every event, each minute.
  sqlite.exec('CREATE INDEX IF NOT EXISTS events_by_node ON events (node, seq)')
  const insert = sqlite.prepare(
    `INSERT OR REPLACE INTO events (seq, at, kind, device_id, fingerprint, reason, node, detail)
     VALUES (@seq, @at, @kind, @deviceId, @fingerprint, @reason, @node, @detail)`,
  )
  const count = sqlite.prepare(
    `INSERT INTO event_minutes (minute, kind, reason, count) VALUES (@minute, @kind, @reason, @count)
     ON CONFLICT DO UPDATE SET count = count + excluded.count`,
  )
  const readMark = sqlite.prepare<[string], number>('SELECT value FROM marks WHERE name = ?').pluck()
  const mark = sqlite.prepare<Mark>(
    'INSERT INTO marks (name, value) VALUES (@name, @value) ON CONFLICT DO UPDATE SET value = @value',
  )
  const held = sqlite.prepare<[], { node: string | null; events: number }>(
    'SELECT node, count(*) AS events FROM events GROUP BY node',
  )
  const beyond = sqlite.prepare(
    `DELETE FROM events WHERE node IS @node
       AND seq <= (SELECT seq FROM events WHERE node IS @node ORDER BY seq DESC LIMIT 1 OFFSET @share)`,
  )
  const oldest = sqlite.prepare<[], number>('SELECT at FROM events ORDER BY seq LIMIT 1').pluck()
  const old = sqlite.prepare('DELETE FROM events WHERE at < ?')
  const minutes = sqlite.prepare('DELETE FROM event_minutes WHERE minute < ?')
  const position = () => readMark.get(POSITION) ?? 0
  let trimmedAt = Number.NEGATIVE_INFINITY

  /** Of the nodes that have most, the oldest: a flood at one node displaces no event of another. */
  function dropBeyond(): void {
    const nodes = held.all()
    const share = fairShare(
      nodes.map(({ events }) => events),
      rowsMax,
    )
    for (const { node, events } of nodes) if (events > share) beyond.run({ node, share })
  }

  function trim(at: number): void {
    if (Math.abs(at - trimmedAt) < TRIM_EVERY_MS) return
    trimmedAt = at
    dropBeyond()
    if ((oldest.get() ?? at) < at - EVENTS_KEPT_MS) old.run(at - EVENTS_KEPT_MS)
    minutes.run(at - EVENTS_KEPT_MS)
  }

  return {
    position,
    take: sqlite.transaction((batches: readonly EventBatch[], at: number): void => {
      const from = position()
      for (const { last, numbers, source, content } of batches) {
        if (last <= from) continue
        const { events, counts, marks } = readBatch(content)
        for (const { place, ...event } of events)
          if (place < numbers) insert.run({ ...event, seq: last - numbers + 1 + place })
        for (const one of counts) count.run(one)
        // Those of this machine are here since they were written, and may be newer.
        for (const one of marks) if (source !== own && sharedMarks.test(one.name)) mark.run(one)
        mark.run({ name: POSITION, value: last })
      }
      trim(at)
    }).immediate,
    setMarks: sqlite.transaction((marks: readonly Mark[]): void => {
      for (const one of marks) if (sharedMarks.test(one.name)) mark.run(one)
    }).immediate,
  }
}
