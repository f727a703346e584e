// When a device was last connected, from where, how that ended and what waits for it, as brokers noted it. Shown to operators and
// searched; nothing is decided by it.
import type { Database } from 'better-sqlite3'
import { NODE_GONE_MS, type ProtocolName, protocolNames } from './live-sessions.ts'

/** `seen_at` of a device that is connected: the highest time of JavaScript, so that it is the last of all. */
export const CONNECTED = 8_640_000_000_000_000

/** How a connection ended where that is no reason code: by the device, by its network, or with the broker. */
export const endings = [
  'client_disconnect',
  'connection_lost',
  'taken_over',
  'broker_stopped',
  'broker_lost',
] as const
export type Ending = (typeof endings)[number]

/** Times in ms since the epoch; bytes of all connections of the device, as MQTT sent them. */
export type LastSeen = {
  connectedAt: number
  /** Null while it is connected. */
  disconnectedAt: number | null
  /** Of the last connection that has ended: an ending or a reason code. */
  reason: string | null
  address: string | null
  fingerprint: string | null
  protocol: ProtocolName | null
  sessionKept: boolean
  messagesWaiting: number
  bytesIn: number
  bytesOut: number
}

/** What a broker noted since its last note of this device; `bytesIn` and `bytesOut` are added to those before. */
export type LastSeenNote = {
  deviceId: string
  /** The connection that it has. */
  live: Connection | null
  /** The last connection that has ended. */
  ended: (Connection & { until: number; reason: string }) | null
  sessionKept: boolean
  messagesWaiting: number
  bytesIn: number
  bytesOut: number
}
type Connection = { since: number; address: string; fingerprint: string; protocolLevel: number }

export type LastSeenNotes = {
  /** Of devices on the roll; notes of others go. */
  lastSeen(nodeId: string, notes: readonly LastSeenNote[]): void
  /** This broker's last life has ended: whatever was connected then is not any more, since its last heartbeat. */
  endAll(nodeId: string): void
}

/** Throws where the registry is locked or full, as all notes do. */
export function prepareLastSeenNotes(sqlite: Database): LastSeenNotes {
  const rest = `address = coalesce(@address, address), fingerprint = coalesce(@fingerprint, fingerprint),
    protocol_level = coalesce(@protocolLevel, protocol_level), bytes_in = bytes_in + @bytesIn, bytes_out = bytes_out + @bytesOut
    WHERE device_id = @deviceId`
  const connected = sqlite.prepare(
    `UPDATE last_seen SET seen_at = ${CONNECTED}, node_id = @nodeId, connected_at = @since,
       disconnected_at = coalesce(@until, disconnected_at), reason = coalesce(@reason, reason), ${rest}`,
  )
  // A connection that another broker has is not over because an older one here is.
  const gone = sqlite.prepare(
    `UPDATE last_seen SET seen_at = @until, node_id = NULL, disconnected_at = @until, reason = @reason, ${rest}
       AND (node_id IS NULL OR node_id = @nodeId OR connected_at <= @since)`,
  )
  const waiting = sqlite.prepare(`UPDATE last_seen SET ${rest}`)
  // Apart, and only where they change: SQLite writes the indexes of all columns that a statement sets.
  const begun = sqlite.prepare(
    'UPDATE last_seen SET connected_at = @since WHERE device_id = @deviceId AND connected_at <> @since',
  )
  const stored = sqlite.prepare(
    `UPDATE last_seen SET session_kept = @sessionKept, messages_waiting = @messagesWaiting
     WHERE device_id = @deviceId AND (session_kept <> @sessionKept OR messages_waiting <> @messagesWaiting)`,
  )
  const endAll = sqlite.prepare(
    `UPDATE last_seen SET (seen_at, disconnected_at, reason, node_id) =
       (SELECT at, at, 'broker_lost', NULL FROM (SELECT max(connected_at,
         coalesce((SELECT seen_at FROM nodes WHERE id = @nodeId), 0)) AS at))
     WHERE seen_at = ${CONNECTED} AND node_id = @nodeId`,
  )
  return {
    lastSeen: sqlite.transaction<LastSeenNotes['lastSeen']>((nodeId, notes) => {
      for (const { live, ended, ...note } of notes) {
        const unknown = { address: null, fingerprint: null, protocolLevel: null }
        const values = { ...unknown, ...note, nodeId, sessionKept: note.sessionKept ? 1 : 0 }
        if (live !== null) {
          connected.run({ ...values, ...live, until: ended?.until ?? null, reason: ended?.reason ?? null })
        } else if (ended !== null) {
          if (gone.run({ ...values, ...ended }).changes === 0) continue
          begun.run({ ...values, ...ended })
        } else waiting.run(values)
        stored.run(values)
      }
    }).immediate,
    endAll: nodeId => void endAll.run({ nodeId }),
  }
}

type Row = Omit<LastSeen, 'protocol' | 'sessionKept'> & {
  deviceId: string
  protocolLevel: 3 | 4 | 5 | null
  sessionKept: number
  seenAt: number
  /** When the broker on which it is connected was heard of; null where that is none, or none of the registry. */
  heardAt: number | null
}

/** Of a broker that was not heard of for 10 s, nobody is said to be connected. */
export type LastSeenReader = {
  /** Null where the device never connected. */
  ofDevice(deviceId: string, now: number): LastSeen | null
  /** Of those that ever connected. */
  ofDevices(deviceIds: readonly string[], now: number): Map<string, LastSeen>
}

export function prepareLastSeen(sqlite: Database): LastSeenReader {
  const columns = `device_id AS deviceId, connected_at AS connectedAt, disconnected_at AS disconnectedAt, reason, address,
    fingerprint, protocol_level AS protocolLevel, session_kept AS sessionKept, messages_waiting AS messagesWaiting,
    bytes_in AS bytesIn, bytes_out AS bytesOut, seen_at AS seenAt,
    (SELECT seen_at FROM nodes WHERE id = node_id) AS heardAt`
  const one = sqlite.prepare<[string], Row>(`SELECT ${columns} FROM last_seen WHERE device_id = ?`)
  // As a join its plan holds whatever ANALYZE found: each ID is looked up.
  const some = sqlite.prepare<[string], Row>(
    `SELECT ${columns} FROM json_each(?) AS asked CROSS JOIN last_seen ON device_id = asked.value
     WHERE seen_at <> 0`,
  )
  return {
    ofDevice(deviceId, now) {
      const row = one.get(deviceId)
      return row === undefined || row.seenAt === 0 ? null : toLastSeen(row, now)
    },
    ofDevices: (deviceIds, now) =>
      new Map(some.all(JSON.stringify(deviceIds)).map(row => [row.deviceId, toLastSeen(row, now)])),
  }
}

function toLastSeen(row: Row, now: number): LastSeen {
  const { deviceId: _, seenAt, heardAt, protocolLevel, sessionKept, ...shown } = row
  const seen: LastSeen = {
    ...shown,
    protocol: protocolLevel === null ? null : protocolNames[protocolLevel],
    sessionKept: sessionKept === 1,
  }
  if (seenAt !== CONNECTED) return seen
  if (heardAt !== null && heardAt > now - NODE_GONE_MS) return { ...seen, disconnectedAt: null }
  const lostAt = Math.max(heardAt ?? 0, seen.connectedAt)
  return { ...seen, disconnectedAt: lostAt, reason: 'broker_lost' }
}
