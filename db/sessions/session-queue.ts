// The messages that wait for devices, in the session store: put in at the end, read in pages, struck out one by one.
// Counts nothing and drops nothing by itself.
import type { Database } from 'better-sqlite3'

/** One message in the queue of one session. `broker` is null for this one. */
export type QueuedRow = {
  id: number
  session: number
  /** The packet identifier it was sent with; null where it was not. */
  messageId: number | null
  counter: number
  broker: string | null
  bytes: number
  /** PUBREC came: what is owed is PUBREL. */
  released: 0 | 1
  topic: string
  payload: Buffer | string
  qos: 0 | 1 | 2
  retain: 0 | 1
  at: number
}

export type NewRow = Omit<QueuedRow, 'id' | 'messageId' | 'released'>

export type QueueTable = ReturnType<typeof prepareQueue>

const COLUMNS =
  'id, session, message_id AS messageId, counter, broker, bytes, released, topic, payload, qos, retain, at'

export function prepareQueue(sqlite: Database) {
  const insert = sqlite.prepare(
    `INSERT INTO queued (session, counter, bytes, broker, at, topic, payload, qos, retain)
     VALUES (@session, @counter, @bytes, @broker, @at, @topic, @payload, @qos, @retain)`,
  )
  const unsentId = sqlite
    .prepare('SELECT id FROM queued WHERE session = ? AND message_id IS NULL AND counter = ? AND broker IS ?')
    .pluck()
  const sentId = sqlite
    .prepare(
      'SELECT id FROM queued WHERE session = ? AND message_id IS NOT NULL AND counter = ? AND broker IS ?',
    )
    .pluck()
  const idByMessageId = sqlite
    .prepare('SELECT id FROM queued WHERE session = ? AND message_id = ? ORDER BY id LIMIT 1')
    .pluck()
  const messageId = sqlite.prepare('SELECT message_id FROM queued WHERE id = ?').pluck()
  const send = sqlite.prepare('UPDATE queued SET message_id = ? WHERE id = ?')
  const release = sqlite.prepare("UPDATE queued SET released = 1, topic = '', payload = x'' WHERE id = ?")
  const strikeOut = sqlite.prepare(`DELETE FROM queued WHERE id = ? RETURNING ${COLUMNS}`)
  const sent = sqlite.prepare(
    `SELECT ${COLUMNS} FROM queued WHERE session = ? AND message_id IS NOT NULL AND id > ? ORDER BY id LIMIT ?`,
  )
  const unsent = sqlite.prepare(
    `SELECT ${COLUMNS} FROM queued WHERE session = ? AND message_id IS NULL AND counter > ? AND counter <= ?
     ORDER BY counter LIMIT ?`,
  )
  const dropUnsent = sqlite.prepare(
    `DELETE FROM queued WHERE id = (
       SELECT id FROM queued WHERE session = ? AND message_id IS NULL ORDER BY counter LIMIT 1
     ) RETURNING session, bytes`,
  )
  const unsentBytes = sqlite
    .prepare('SELECT bytes FROM queued WHERE session = ? AND message_id IS NULL ORDER BY counter')
    .pluck()
  const dropAged = sqlite.prepare(
    `DELETE FROM queued WHERE id IN (SELECT id FROM queued ORDER BY id LIMIT ?) AND at < ?
     RETURNING session, bytes`,
  )
  const clear = sqlite.prepare('DELETE FROM queued WHERE session = ?')
  const totals = sqlite.prepare(
    'SELECT session, count(*) AS messages, sum(bytes) AS bytes FROM queued GROUP BY session',
  )
  const oldest = sqlite.prepare('SELECT at FROM queued ORDER BY id LIMIT 1').pluck()
  const sentCount = sqlite
    .prepare(
      'SELECT count(*) FROM (SELECT 1 FROM queued WHERE session = ? AND message_id IS NOT NULL LIMIT ?)',
    )
    .pluck()
  const last = sqlite.prepare('SELECT counter FROM queued ORDER BY id DESC LIMIT 1').pluck()

  return {
    insert: (row: NewRow) => void insert.run(row),
    idOf: (session: number, counter: number, broker: string | null) =>
      (unsentId.get(session, counter, broker) ?? sentId.get(session, counter, broker)) as number | undefined,
    isUnsent: (session: number, counter: number, broker: string | null) =>
      unsentId.get(session, counter, broker) !== undefined,
    idOfMessage: (session: number, messageId: number) =>
      idByMessageId.get(session, messageId) as number | undefined,
    /** Null where it was not sent, or is gone. */
    messageId: (id: number) => (messageId.get(id) ?? null) as number | null,
    send: (id: number, messageId: number) => void send.run(messageId, id),
    release: (id: number) => void release.run(id),
    strikeOut: (id: number) => strikeOut.get(id) as QueuedRow | undefined,
    /** What was sent and not acknowledged, oldest first, after this ID. */
    sent: (session: number, after: number, limit: number) => page(sent.iterate(session, after, limit)),
    /** What was never sent, oldest first, between these counters. */
    unsent: (session: number, after: number, until: number, limit: number) =>
      page(unsent.iterate(session, after, until, limit)),
    dropUnsent: (session: number) => dropUnsent.get(session) as Dropped | undefined,
    /** Whether the messages that were never sent weigh so much; looks at no more of them than it takes. */
    unsentHolds(session: number, wanted: number): boolean {
      let held = 0
      for (const bytes of wanted > 0 ? unsentBytes.iterate(session) : []) {
        held += bytes as number
        if (held >= wanted) return true
      }
      return wanted <= 0
    },
    /** Drops what came before a moment, looking at this many of the oldest. */
    dropAged: (before: number, limit: number) => dropAged.all(limit, before) as Dropped[],
    /** When the oldest message came. */
    oldest: () => oldest.get() as number | undefined,
    /** How many were sent and not acknowledged; counts no further than the limit. */
    sentCount: (session: number, limit: number) => sentCount.get(session, limit) as number,
    clear: (session: number) => void clear.run(session),
    totals: () => totals.all() as { session: number; messages: number; bytes: number }[],
    /** The counter of the newest message; 0 where there is none. */
    lastCounter: () => (last.get() ?? 0) as number,
  }
}

/** As many rows as `PAGE_BYTES` take, and one at least. */
function page(rows: IterableIterator<unknown>): QueuedRow[] {
  const read: QueuedRow[] = []
  let bytes = 0
  for (const row of rows as IterableIterator<QueuedRow>) {
    read.push(row)
    bytes += row.bytes
    if (bytes >= PAGE_BYTES) break
  }
  return read
}

/** What is read into memory at once. */
const PAGE_BYTES = 262_144

type Dropped = { session: number; bytes: number }
