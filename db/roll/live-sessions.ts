// Devices that are connected, as brokers noted it within the last seconds. Shown to operators; nothing is decided by it.
import type { Database } from 'better-sqlite3'

/** Of a broker that was not heard of for so long, nobody is said to be connected. */
export const NODE_GONE_MS = 10_000

/** Versions of MQTT by their protocol level. */
export const protocolNames = { 3: '3.1', 4: '3.1.1', 5: '5' } as const
export type ProtocolName = (typeof protocolNames)[keyof typeof protocolNames]

/** What else a broker knows of a connection; a fact that it does not know is absent. */
type SessionFacts = {
  /** mqtt 3.1.1 is 4. */
  protocolLevel?: number
  transport?: 'tls' | 'websocket'
  tlsVersion?: string
  cipher?: string
  resumed?: boolean
  keepAliveSeconds?: number
  clean?: boolean
  /** As the device said it, cut to 128 characters. */
  username?: string
}
/** `since` in ms since the epoch. */
export type LiveSession = {
  deviceId: string
  clientId: string
  fingerprint: string
  address: string
  since: number
  facts: SessionFacts
}
export type NotedSession = LiveSession & { nodeId: string; subscriptions: string[] }

const SHOWN_MAX = 20
const SUBSCRIPTIONS_SHOWN_MAX = 100

export type LiveSessionReader = {
  /** Which of these devices are connected. */
  connectedOf(ids: readonly string[], now: number): Set<string>
  /** The broker that has the newest connection of each that is connected. */
  nodesOf(ids: readonly string[], now: number): Map<string, string>
  ofDevice(deviceId: string, now: number): NotedSession[]
}

export function prepareLiveSessions(sqlite: Database): LiveSessionReader {
  const living = 'node_id IN (SELECT id FROM nodes WHERE seen_at > ?)'
  const connected = sqlite
    .prepare<[string, number], string>(
      `SELECT DISTINCT device_id FROM live_sessions WHERE device_id IN (SELECT value FROM json_each(?)) AND ${living}`,
    )
    .pluck()
  const nodes = sqlite.prepare<[string, number], { deviceId: string; nodeId: string }>(
    `SELECT device_id AS deviceId, node_id AS nodeId FROM live_sessions
     WHERE device_id IN (SELECT value FROM json_each(?)) AND ${living} ORDER BY since`,
  )
  const ofDevice = sqlite.prepare<[string, number], Omit<NotedSession, 'facts'> & { facts: string }>(
    `SELECT device_id AS deviceId, client_id AS clientId, node_id AS nodeId, fingerprint, address, since, facts
     FROM live_sessions WHERE device_id = ? AND ${living} ORDER BY since LIMIT ${SHOWN_MAX}`,
  )
  const filters = sqlite
    .prepare<[string, string, string], string>(
      `SELECT filter FROM session_subscriptions
       WHERE device_id = ? AND node_id = ? AND fingerprint = ? AND filter <> '' ORDER BY filter LIMIT ${SUBSCRIPTIONS_SHOWN_MAX}`,
    )
    .pluck()
  return {
    connectedOf: (ids, now) => new Set(connected.all(JSON.stringify(ids), now - NODE_GONE_MS)),
    nodesOf: (ids, now) =>
      new Map(
        nodes.all(JSON.stringify(ids), now - NODE_GONE_MS).map(({ deviceId, nodeId }) => [deviceId, nodeId]),
      ),
    ofDevice: (deviceId, now) =>
      ofDevice.all(deviceId, now - NODE_GONE_MS).map(({ facts, ...row }) => ({
        ...row,
        facts: JSON.parse(facts) as SessionFacts,
        subscriptions: filters.all(deviceId, row.nodeId, row.fingerprint),
      })),
  }
}

export type LiveSessionNotes = {
  /** Each note says all the sessions that a device has on this node now. */
  liveSessions(nodeId: string, notes: readonly { deviceId: string; sessions: readonly LiveSession[] }[]): void
}

/** Throws where the registry is locked or full, as all notes do. */
export function prepareLiveSessionNotes(sqlite: Database): LiveSessionNotes {
  const forget = sqlite.prepare('DELETE FROM live_sessions WHERE device_id = ? AND node_id = ?')
  const note = sqlite.prepare(
    `INSERT OR REPLACE INTO live_sessions (device_id, client_id, node_id, fingerprint, address, since, facts)
     VALUES (@deviceId, @clientId, @nodeId, @fingerprint, @address, @since, @facts)`,
  )
  return {
    liveSessions: sqlite.transaction<LiveSessionNotes['liveSessions']>((nodeId, notes) => {
      for (const { deviceId, sessions } of notes) {
        forget.run(deviceId, nodeId)
        for (const session of sessions) note.run({ ...session, nodeId, facts: JSON.stringify(session.facts) })
      }
    }).immediate,
  }
}
