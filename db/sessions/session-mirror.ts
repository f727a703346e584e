// What changes in a session store, gathered by triggers, so that it can be kept elsewhere too; and the content of one session, taken in
// from there. A row is a kind, a key and its columns as JSON, with payload and properties beside.
import type { Database } from 'better-sqlite3'

export type SessionContent = {
  kind: string
  key: number
  name: string
  content: string
  payload: Buffer | null
  properties: Buffer | null
}
/** `content` is null where the row is gone. Of kind `end` the whole session is: what follows is another one. */
export type Change = Omit<SessionContent, 'content'> & { clientId: string; content: string | null }

const client = (row: string) => `COALESCE((SELECT device FROM sessions WHERE id = ${row}.session), '')`

const sources: readonly [
  table: string,
  kind: string,
  key: string,
  name: string,
  client: (row: string) => string,
][] = [
  ['sessions', 'session', '0', "''", row => `${row}.device`],
  ['subscriptions', 'subscription', '0', '@.filter', client],
  ['queued', 'queued', '@.id', "''", client],
  ['unfinished', 'unfinished', '@.message_id', "''", row => `${row}.device`],
  ['wills', 'will', '0', "''", row => `${row}.device`],
  ['holders', 'holder', '0', "''", row => `${row}.device`],
  ['retained', 'retained', '0', '@.topic', () => "''"],
]

const selects: Record<string, string> = {
  session: 'SELECT expiry_s, ended_at FROM sessions WHERE device = @client',
  subscription: `SELECT filter, qos, options, identifier FROM subscriptions
    WHERE session = (SELECT id FROM sessions WHERE device = @client) AND filter = @name`,
  queued: `SELECT id, message_id, counter, bytes, at, released, topic, qos, retain, expires_at, identifiers,
    CAST(payload AS BLOB) AS payload, properties FROM queued WHERE id = @key`,
  unfinished: 'SELECT message_id FROM unfinished WHERE device = @client AND message_id = @key',
  will: `SELECT fingerprint, issuer, serial, topic, qos, retain, expiry_s, delay_s, due_at, CAST(payload AS BLOB) AS payload, properties
    FROM wills WHERE device = @client`,
  holder: 'SELECT issuer, serial, keeps_session FROM holders WHERE device = @client',
  retained: 'SELECT topic FROM retained WHERE topic = @name',
}

export type SessionMirror = ReturnType<typeof mirrorSessions>

export function mirrorSessions(sqlite: Database) {
  // Without a constraint: how a conflict within a trigger ends is the word of the statement that fired it.
  sqlite.exec(
    'CREATE TEMP TABLE changed (client TEXT NOT NULL, kind TEXT NOT NULL, key INTEGER NOT NULL, name TEXT NOT NULL)',
  )
  for (const [table, kind, key, name, clientOf] of sources)
    for (const [event, row] of [
      ['INSERT', 'NEW'],
      ['UPDATE', 'NEW'],
      ['DELETE', 'OLD'],
    ] as const) {
      const named = (text: string) => text.replace('@', row)
      const end =
        table === 'sessions' && event === 'DELETE'
          ? `INSERT INTO changed VALUES (OLD.device, 'end', 0, '');`
          : ''
      sqlite.exec(`CREATE TEMP TRIGGER mirror_${table}_${event} AFTER ${event} ON main.${table} BEGIN
        INSERT INTO changed VALUES (${clientOf(row)}, '${kind}', ${named(key)}, ${named(name)}); ${end} END`)
    }
  const read = Object.fromEntries(Object.entries(selects).map(([kind, text]) => [kind, sqlite.prepare(text)]))
  const changed = sqlite.prepare('SELECT DISTINCT client, kind, key, name FROM changed')
  const forget = sqlite.prepare('DELETE FROM changed')

  return {
    /** What has changed since it was asked last, each row once, as it is now. */
    changes(): Change[] {
      const rows = changed.all() as { client: string; kind: string; key: number; name: string }[]
      if (rows.length === 0) return []
      forget.run()
      return rows.map(({ client: clientId, kind, key, name }) => {
        const found = read[kind]?.get({ client: clientId, key, name }) as Record<string, unknown> | undefined
        const { payload = null, properties = null, ...columns } = found ?? {}
        const content = found === undefined ? null : JSON.stringify(columns)
        return {
          clientId,
          kind,
          key,
          name,
          content,
          payload: payload as Buffer | null,
          properties: properties as Buffer | null,
        }
      })
    },
  }
}

const inserts: Record<string, string> = {
  session: 'INSERT INTO sessions (device, expiry_s, ended_at) VALUES (@client, @expiry_s, @ended_at)',
  subscription: `INSERT INTO subscriptions (session, filter, qos, options, identifier)
    VALUES ((SELECT id FROM sessions WHERE device = @client), @filter, @qos, @options, @identifier)`,
  queued: `INSERT INTO queued (id, session, message_id, counter, bytes, at, released, topic, payload, qos, retain, properties, expires_at, identifiers)
    VALUES (@id, (SELECT id FROM sessions WHERE device = @client), @message_id, @counter, @bytes, @at, @released, @topic, @payload, @qos,
      @retain, @properties, @expires_at, @identifiers)`,
  unfinished: 'INSERT OR REPLACE INTO unfinished (device, message_id) VALUES (@client, @message_id)',
  will: `INSERT OR REPLACE INTO wills (device, fingerprint, issuer, serial, topic, payload, qos, retain, properties, expiry_s, delay_s, due_at)
    VALUES (@client, @fingerprint, @issuer, @serial, @topic, @payload, @qos, @retain, @properties, @expiry_s, @delay_s, @due_at)`,
  holder: `INSERT OR REPLACE INTO holders (device, issuer, serial, keeps_session) VALUES (@client, @issuer, @serial, @keeps_session)`,
}
const ORDER = ['session', 'subscription', 'queued', 'unfinished', 'will', 'holder']

/** Prepares to take in the content of a session that this store does not hold: gives the highest ID and counter of its queue; 0 for none. */
export function prepareTakeIn(
  sqlite: Database,
): (clientId: string, rows: readonly SessionContent[]) => { lastId: number; lastCounter: number } {
  const statements = ORDER.map(kind => [kind, sqlite.prepare(inserts[kind]!)] as const)
  return (clientId, rows) => {
    let lastId = 0
    let lastCounter = 0
    const hasSession = rows.some(({ kind }) => kind === 'session')
    for (const [kind, statement] of statements) {
      if (!hasSession && (kind === 'subscription' || kind === 'queued')) continue
      for (const row of rows) {
        if (row.kind !== kind) continue
        const columns = JSON.parse(row.content) as Record<string, unknown>
        statement.run({ ...columns, client: clientId, payload: row.payload, properties: row.properties })
        if (kind !== 'queued') continue
        lastId = Math.max(lastId, columns['id'] as number)
        lastCounter = Math.max(lastCounter, columns['counter'] as number)
      }
    }
    return { lastId, lastCounter }
  }
}
