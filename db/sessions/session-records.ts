// What the session store holds beside queues: sessions, subscriptions, unfinished QoS 2, retained messages, wills, and on
// whose right each stands. Read whole at the start, written as it changes.
import type { Database } from 'better-sqlite3'

export type HolderRow = { device: string; issuer: string | null; serial: string }
/** `properties` are those of MQTT 5 as they came. */
type MessageRow = { topic: string; payload: Buffer; qos: 0 | 1 | 2; properties: Buffer | null }
/** `expiresAt`, and `at` when it was retained, in ms since the epoch; `at` is null of what an earlier version stored. */
export type RetainedRow = MessageRow & { device: string | null; expiresAt: number | null; at: number | null }
/** Seconds of its expiry and delay; `dueAt` in ms since the epoch, where its connection has ended already. */
export type WillRow = HolderRow &
  MessageRow & {
    fingerprint: string
    retain: 0 | 1
    expirySeconds: number | null
    delaySeconds: number
    dueAt: number | null
  }
/** `expirySeconds` is null for a session that never expires by itself; `endedAt` in ms since the epoch, null while connected. */
export type SessionRow = { id: number; device: string; expirySeconds: number | null; endedAt: number | null }
/** `options` as in SUBSCRIBE of MQTT 5 (§3.8.3.1), without the QoS. */
type SubscriptionRow = {
  topic: string
  qos: 0 | 1 | 2
  options: number
  identifier: number | null
}

export type SessionRecords = ReturnType<typeof prepareSessionRecords>

export function prepareSessionRecords(sqlite: Database) {
  const all = <Row>(text: string) => {
    const statement = sqlite.prepare(text)
    return () => statement.all() as Row[]
  }
  const run = <Parameters extends unknown[]>(text: string) => {
    const statement = sqlite.prepare(text)
    return (...parameters: Parameters) => void statement.run(...parameters)
  }
  const addSession = sqlite
    .prepare(
      'INSERT INTO sessions (device) VALUES (?) ON CONFLICT DO UPDATE SET device = device RETURNING id',
    )
    .pluck()

  const one = <Row>(text: string) => {
    const statement = sqlite.prepare(text)
    return (device: string) => statement.all(device) as Row[]
  }
  const clearedEpoch = sqlite.prepare<[], number>('SELECT cleared_epoch FROM broker').pluck()
  const subscriptionCount = sqlite.prepare('SELECT count(*) FROM subscriptions').pluck()

  return {
    sessions: all<SessionRow>(
      'SELECT id, device, expiry_s AS expirySeconds, ended_at AS endedAt FROM sessions',
    ),
    /** The same of one device. */
    sessionsOf: one<SessionRow>(
      'SELECT id, device, expiry_s AS expirySeconds, ended_at AS endedAt FROM sessions WHERE device = ?',
    ),
    addSession: (device: string) => addSession.get(device) as number,
    setExpiry: run<[expirySeconds: number | null, endedAt: number | null, id: number]>(
      'UPDATE sessions SET expiry_s = ?, ended_at = ? WHERE id = ?',
    ),
    /** Its subscriptions go with it. */
    removeSession: run<[id: number]>('DELETE FROM sessions WHERE id = ?'),

    subscriptions: all<SubscriptionRow & { device: string }>(
      `SELECT device, filter AS topic, qos, options, identifier
       FROM subscriptions JOIN sessions ON sessions.id = session ORDER BY session`,
    ),
    subscriptionsOf: one<SubscriptionRow>(
      `SELECT filter AS topic, qos, options, identifier
       FROM subscriptions WHERE session = (SELECT id FROM sessions WHERE device = ?)`,
    ),
    subscriptionCount: () => subscriptionCount.get() as number,
    subscribe: run<
      [session: number, filter: string, qos: number, options: number, identifier: number | null]
    >(
      `INSERT INTO subscriptions (session, filter, qos, options, identifier) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET qos = excluded.qos, options = excluded.options, identifier = excluded.identifier`,
    ),
    unsubscribe: run<[session: number, filter: string]>(
      'DELETE FROM subscriptions WHERE session = ? AND filter = ?',
    ),

    clearedEpoch: () => clearedEpoch.get() as number,
    setClearedEpoch: run<[epoch: number]>('UPDATE broker SET cleared_epoch = ?'),

    unfinished: all<{ device: string; messageId: number }>(
      'SELECT device, message_id AS messageId FROM unfinished',
    ),
    unfinishedOf: one<{ messageId: number }>(
      'SELECT message_id AS messageId FROM unfinished WHERE device = ?',
    ),
    begin: run<[device: string, messageId: number]>(
      'INSERT INTO unfinished (device, message_id) VALUES (?, ?) ON CONFLICT DO NOTHING',
    ),
    finish: run<[device: string, messageId: number]>(
      'DELETE FROM unfinished WHERE device = ? AND message_id = ?',
    ),
    finishAll: run<[device: string]>('DELETE FROM unfinished WHERE device = ?'),

    retained: all<RetainedRow>(
      'SELECT topic, payload, qos, device, properties, expires_at AS expiresAt, at FROM retained',
    ),
    retain: run<[RetainedRow]>(
      `INSERT INTO retained (topic, payload, qos, device, properties, expires_at, at)
       VALUES (@topic, @payload, @qos, @device, @properties, @expiresAt, @at)
       ON CONFLICT DO UPDATE SET payload = excluded.payload, qos = excluded.qos, device = excluded.device,
         properties = excluded.properties, expires_at = excluded.expires_at, at = excluded.at`,
    ),
    unretain: run<[topic: string]>('DELETE FROM retained WHERE topic = ?'),

    wills: all<WillRow>(
      `SELECT device, issuer, serial, fingerprint, topic, payload, qos, retain, properties,
         expiry_s AS expirySeconds, delay_s AS delaySeconds, due_at AS dueAt FROM wills`,
    ),
    willsOf: one<WillRow>(
      `SELECT device, issuer, serial, fingerprint, topic, payload, qos, retain, properties,
         expiry_s AS expirySeconds, delay_s AS delaySeconds, due_at AS dueAt FROM wills WHERE device = ?`,
    ),
    putWill: run<[WillRow]>(
      `INSERT OR REPLACE INTO wills (device, issuer, serial, fingerprint, topic, payload, qos, retain, properties,
         expiry_s, delay_s, due_at)
       VALUES (@device, @issuer, @serial, @fingerprint, @topic, @payload, @qos, @retain, @properties,
         @expirySeconds, @delaySeconds, @dueAt)`,
    ),
    removeWill: run<[device: string]>('DELETE FROM wills WHERE device = ?'),

    holders: all<HolderRow & { keepsSession: 0 | 1 }>(
      'SELECT device, issuer, serial, keeps_session AS keepsSession FROM holders',
    ),
    holdersOf: one<HolderRow & { keepsSession: 0 | 1 }>(
      'SELECT device, issuer, serial, keeps_session AS keepsSession FROM holders WHERE device = ?',
    ),
    putHolder: run<[HolderRow & { keepsSession: 0 | 1 }]>(
      `INSERT OR REPLACE INTO holders (device, issuer, serial, keeps_session)
       VALUES (@device, @issuer, @serial, @keepsSession)`,
    ),
    removeHolder: run<[device: string]>('DELETE FROM holders WHERE device = ?'),
  }
}
