// The messages that wait for devices, in the session store: put in at the end, read in pages, struck out one by one.
// Counts nothing and drops nothing by itself.
import type { Database } from 'better-sqlite3'

/** One message in the queue of one session. */
export type QueuedRow = {
  id: number
  /** The packet identifier it was sent with; null where it was not. */
  messageId: number | null
  /** The message's sequence number, which orders the queue. */
  counter: number
  bytes: number
  /** PUBREC came: what is owed is PUBREL. */
  released: 0 | 1
  topic: string
  payload: Buffer | string
  qos: 0 | 1 | 2
  retain: 0 | 1
  at: number
  /** MQTT 5 properties as they came. */
  properties: Buffer | null
  /** In ms since the epoch. */
  expiresAt: number | null
  /** Subscription identifiers, separated by commas. */
  identifiers: string | null
}

type NewRow = Omit<QueuedRow, 'id' | 'released'> & { session: number }

export type QueueTable = ReturnType<typeof prepareQueue>

const COLUMNS = `id, message_id AS messageId, counter, bytes, released, topic, payload, qos, retain, at, properties,
  expires_at AS expiresAt, identifiers`

/** `nextId` gives the IDs of new rows where they must differ from those of other stores; else SQLite does. */
export function prepareQueue(sqlite: Database, nextId: (() => number) | null = null) {
  const insert = sqlite.prepare(
    `INSERT INTO queued (id, session, message_id, counter, bytes, at, topic, payload, qos, retain, properties, expires_at, identifiers)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const send = sqlite.prepare('UPDATE queued SET message_id = ? WHERE id = ?')
  const release = sqlite.prepare(
    "UPDATE queued SET released = 1, topic = '', payload = x'', properties = NULL WHERE id = ?",
  )
  const remove = sqlite.prepare('DELETE FROM queued WHERE id = ?')
  const sent = sqlite.prepare(
    `SELECT ${COLUMNS} FROM queued WHERE session = ? AND message_id IS NOT NULL AND id > ? ORDER BY id LIMIT ?`,
  )
  const unsent = sqlite.prepare(
    `SELECT ${COLUMNS} FROM queued WHERE session = ? AND message_id IS NULL ORDER BY counter, id LIMIT ?`,
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
  const dropExpired = sqlite.prepare(
    `DELETE FROM queued WHERE id IN (
       SELECT id FROM queued WHERE expires_at <= ? AND message_id IS NULL LIMIT ?
     ) RETURNING session, bytes`,
  )
  const clear = sqlite.prepare('DELETE FROM queued WHERE session = ?')
  const totals = sqlite.prepare(
    'SELECT session, count(*) AS messages, sum(bytes) AS bytes FROM queued GROUP BY session',
  )
  const totalOf = sqlite.prepare(
    'SELECT count(*) AS messages, COALESCE(sum(bytes), 0) AS bytes FROM queued WHERE session = ?',
  )
  const oldest = sqlite.prepare('SELECT at FROM queued ORDER BY id LIMIT 1').pluck()
  const sentCount = sqlite
    .prepare(
      'SELECT count(*) FROM (SELECT 1 FROM queued WHERE session = ? AND message_id IS NOT NULL LIMIT ?)',
    )
    .pluck()
  const last = sqlite.prepare('SELECT counter FROM queued ORDER BY id DESC LIMIT 1').pluck()

  return {
    /** Gives the row's ID. */
    insert: (row: NewRow) =>
      insert.run(
        nextId === null ? null : nextId(),
        row.session,
        row.messageId,
        row.counter,
        row.bytes,
        row.at,
        row.topic,
        row.payload,
        row.qos,
        row.retain,
        row.properties,
        row.expiresAt,
        row.identifiers,
      ).lastInsertRowid as number,
    send: (id: number, messageId: number) => void send.run(messageId, id),
    release: (id: number) => void release.run(id),
    /** Gives whether it was there. */
    remove: (id: number) => remove.run(id).changes > 0,
    /** What was sent and not acknowledged, oldest first, after this ID. */
    sent: (session: number, after: number, limit: number) => page(sent.iterate(session, after, limit)),
    /** What was never sent, oldest first. */
    unsent: (session: number, limit: number) => page(unsent.iterate(session, limit)),
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
    /** Drops what expired before a moment and was never sent, this many at most. */
    dropExpired: (now: number, limit: number) => dropExpired.all(now, limit) as Dropped[],
    /** When the oldest message came. */
    oldest: () => oldest.get() as number | undefined,
    /** How many were sent and not acknowledged; counts no further than the limit. */
    sentCount: (session: number, limit: number) => sentCount.get(session, limit) as number,
    clear: (session: number) => void clear.run(session),
    totals: () => totals.all() as { session: number; messages: number; bytes: number }[],
    totalOf: (session: number) => totalOf.get(session) as { messages: number; bytes: number },
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
