// What the session store holds beside queues: sessions, subscriptions, unfinished QoS 2, retained messages, wills, and on
// whose right each stands. Read whole at the start, written as it changes.
import type { Database } from 'better-sqlite3'

export type HolderRow = { device: string; issuer: string | null; serial: string }
export type MessageRow = { topic: string; payload: Buffer; qos: 0 | 1 | 2 }
export type RetainedRow = MessageRow & { device: string | null }
export type WillRow = HolderRow & MessageRow & { fingerprint: string; retain: 0 | 1 }

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

  const subscriptionCount = sqlite.prepare('SELECT count(*) FROM subscriptions').pluck()

  return {
    sessions: all<{ id: number; device: string }>('SELECT id, device FROM sessions'),
    addSession: (device: string) => addSession.get(device) as number,
    /** Its subscriptions go with it. */
    removeSession: run<[id: number]>('DELETE FROM sessions WHERE id = ?'),

    subscriptions: all<{ device: string; topic: string; qos: 0 | 1 | 2 }>(
      'SELECT device, filter AS topic, qos FROM subscriptions JOIN sessions ON sessions.id = session ORDER BY session',
    ),
    subscriptionCount: () => subscriptionCount.get() as number,
    subscribe: run<[session: number, filter: string, qos: number]>(
      `INSERT INTO subscriptions (session, filter, qos) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET qos = excluded.qos`,
    ),
    unsubscribe: run<[session: number, filter: string]>(
      'DELETE FROM subscriptions WHERE session = ? AND filter = ?',
    ),

    unfinished: all<{ device: string; messageId: number }>(
      'SELECT device, message_id AS messageId FROM unfinished',
    ),
    begin: run<[device: string, messageId: number]>(
      'INSERT INTO unfinished (device, message_id) VALUES (?, ?) ON CONFLICT DO NOTHING',
    ),
    finish: run<[device: string, messageId: number]>(
      'DELETE FROM unfinished WHERE device = ? AND message_id = ?',
    ),
    finishAll: run<[device: string]>('DELETE FROM unfinished WHERE device = ?'),

    retained: all<RetainedRow>('SELECT topic, payload, qos, device FROM retained'),
    retain: run<[RetainedRow]>(
      `INSERT INTO retained (topic, payload, qos, device) VALUES (@topic, @payload, @qos, @device)
       ON CONFLICT DO UPDATE SET payload = excluded.payload, qos = excluded.qos, device = excluded.device`,
    ),
    unretain: run<[topic: string]>('DELETE FROM retained WHERE topic = ?'),

    wills: all<WillRow>('SELECT device, issuer, serial, fingerprint, topic, payload, qos, retain FROM wills'),
    putWill: run<[WillRow]>(
      `INSERT OR REPLACE INTO wills (device, issuer, serial, fingerprint, topic, payload, qos, retain)
       VALUES (@device, @issuer, @serial, @fingerprint, @topic, @payload, @qos, @retain)`,
    ),
    removeWill: run<[device: string]>('DELETE FROM wills WHERE device = ?'),

    holders: all<HolderRow & { keepsSession: 0 | 1 }>(
      'SELECT device, issuer, serial, keeps_session AS keepsSession FROM holders',
    ),
    putHolder: run<[HolderRow & { keepsSession: 0 | 1 }]>(
      `INSERT OR REPLACE INTO holders (device, issuer, serial, keeps_session)
       VALUES (@device, @issuer, @serial, @keepsSession)`,
    ),
    removeHolder: run<[device: string]>('DELETE FROM holders WHERE device = ?'),
  }
}
