// Connections to PostgreSQL: what `--registry postgres://…` names, the password from a file, TLS with verification off loopback.
// Refuses to know what is asked over them.
import { readFileSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Client } from 'pg'
import { passwordFromFile } from './password-file.ts'

export type PostgresClient = Client

/** A host name or an address with its port; or the directory of a Unix socket. */
export type PostgresServer = { host: string; port: number }

/** Where the database is. Holds no password: that is read from its file whenever a connection is made. */
export type PostgresSettings = {
  /** Tried in this order until one takes writes. */
  servers: readonly PostgresServer[]
  database: string
  user: string
  tls: false | { ca: string | undefined }
  /** A file with the password alone. Wins over `passFile`. */
  passwordFile: string | undefined
  /** In the form of libpq's .pgpass, where it exists. */
  passFile: string
}

const PORT = 5432
const CONNECT_MS = 5_000
const KEEP_ALIVE_MS = 10_000
const PARAMETERS = ['host', 'sslmode', 'sslrootcert', 'passfile', 'target_session_attrs']
const SERVERS_MAX = 8

/**
 * Reads `postgres://user@host:port,host:port/database?sslmode=…&sslrootcert=…&passfile=…`, names as libpq has them (PostgreSQL 15, 34.1.2).
 * `sslmode` is `verify-full`, the default off loopback, or `disable`, the default on loopback and for a Unix socket
 * (`?host=/directory`). `target_session_attrs` can only be what it always is, `read-write`. Throws an error that says what is wrong and never holds the text: a password may be in it.
 */
export function readPostgresSettings(
  text: string,
  files: { passwordFile?: string | undefined; env?: Record<string, string | undefined> } = {},
): PostgresSettings {
  const [, before = '', list = '', after = ''] =
    /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^/?#]*)(.*)$/s.exec(text) ?? []
  const [url, ...more] = list.split(',').map((server, at) => {
    const whole = `${before}${server}${at === 0 ? after : ''}`
    return server !== '' && URL.canParse(whole) ? new URL(whole) : null
  })
  if (url === null || url === undefined || more.includes(null) || more.length >= SERVERS_MAX)
    throw new Error(
      `the registry must be given as postgres://user@host:port/database; of several servers, ${SERVERS_MAX} at most, as host:port,host:port`,
    )
  if (url.password !== '')
    throw new Error(
      'the registry URL must hold no password: put it into a file, and name that with --registry-password-file or ?passfile=',
    )
  const unknown = [...url.searchParams.keys()].filter(name => !PARAMETERS.includes(name))
  if (unknown.length > 0)
    throw new Error(
      `the registry URL has an unknown parameter ${unknown[0]}: known are ${PARAMETERS.join(', ')}`,
    )
  const directory = url.searchParams.get('host')
  if (directory !== null && more.length > 0)
    throw new Error('the registry URL must name servers either before the database or with ?host=')
  const servers = [url, ...more].map(server => ({
    host: directory ?? server!.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: server!.port === '' ? PORT : Number(server!.port),
  }))
  const user = decodeURIComponent(url.username)
  const database = decodeURIComponent(url.pathname.slice(1))
  if (servers.some(({ host }) => host === '') || user === '' || database === '')
    throw new Error('the registry URL must name user, host and database: postgres://user@host:port/database')
  if ((url.searchParams.get('target_session_attrs') ?? 'read-write') !== 'read-write')
    throw new Error('target_session_attrs in the registry URL must be read-write')
  const isLocal = servers.every(({ host }) => isLoopback(host))
  const sslmode = url.searchParams.get('sslmode') ?? (isLocal ? 'disable' : 'verify-full')
  if (sslmode !== 'disable' && sslmode !== 'verify-full')
    throw new Error('sslmode in the registry URL must be verify-full or disable')
  const root = url.searchParams.get('sslrootcert')
  const env = files.env ?? process.env
  return {
    ...{ servers, user, database },
    tls: sslmode === 'disable' ? false : { ca: root === null ? undefined : readFileSync(root, 'utf8') },
    passwordFile: files.passwordFile,
    passFile: url.searchParams.get('passfile') ?? env['PGPASSFILE'] ?? join(homedir(), '.pgpass'),
  }
}

/** Without a trace of how it was given, for logs. */
export function shownPostgres({ servers, database }: Pick<PostgresSettings, 'servers' | 'database'>): string {
  const shown = servers.map(({ host, port }) => (host.startsWith('/') ? host : `${host}:${port}`))
  return `${database} at ${shown.join(', ')}`
}

/** The server that was used last is tried first: one that is gone may take its time to be found so. */
const lastUsed = new WeakMap<PostgresSettings, PostgresServer>()

/**
 * The newest timeline that was seen: each failover begins a new one (PostgreSQL 15, 26.3.5). A server of the same data that is behind it was
 * the primary once, and what it takes now, its successor never has.
 */
const newest = new WeakMap<PostgresSettings, Timeline>()
type Timeline = { system: string; timeline: number }

/** What each connection was made on, to end it at once. */
const sockets = new WeakMap<PostgresClient, Socket>()

/** Where a commit was answered that did not wait for its synchronous standby any longer, for somebody cancelled that. */
const unreplicated = new WeakSet<PostgresClient>()

/**
 * To be called before an answer that came over the connection counts. PostgreSQL answers a commit whose wait for the synchronous standby was
 * cancelled as done, with a warning (findings/postgres-synchronous-commit-cancelled.sh), which is told by the routine it comes from: its text may be in any language.
 * @throws Error where that happened; the connection must not be used any longer, and what was asked is looked up or asked again on another one
 */
export function assertReplicated(client: PostgresClient): void {
  if (unreplicated.has(client))
    throw new Error('a wait for the synchronous standby of PostgreSQL was cancelled: it is waited for again')
}

/**
 * One connection. `lost` is called once where it ends by itself; until then a question that is not answered within `answerMs` fails,
 * and its connection must not be used any longer. Throws where none can be made within 5 s for each server, or where it is a standby, or a
 * primary that another server has taken over from, as far as these settings have been used with that one.
 */
export async function connectPostgres(
  settings: PostgresSettings,
  options: { name: string; lost?: (error: Error) => void; answerMs?: number },
): Promise<PostgresClient> {
  const last = lastUsed.get(settings)
  const errors: Error[] = []
  for (const server of settings.servers.toSorted((a, b) => Number(b === last) - Number(a === last)))
    try {
      const client = await connectTo(server, settings, options)
      lastUsed.set(settings, server)
      return client
    } catch (error) {
      errors.push(error as Error)
    }
  if (errors.length === 1) throw errors[0]
  throw new Error(errors.map(({ message }) => message).join('; '), { cause: errors[0] })
}

async function connectTo(
  server: PostgresServer,
  settings: PostgresSettings,
  options: Parameters<typeof connectPostgres>[1],
): Promise<PostgresClient> {
  const { database, user, tls } = settings
  const socket = new Socket()
  const { default: pg } = await import('pg') // which a registry in a file does not need
  const client = new pg.Client({
    stream: () => socket,
    ...{ ...server, database, user },
    password: () => passwordOf(settings, server),
    ssl:
      tls === false ? false : { rejectUnauthorized: true, ...(tls.ca === undefined ? {} : { ca: tls.ca }) },
    application_name: options.name,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: options.answerMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
  })
  client.on('notice', ({ routine }) => {
    if (routine === 'SyncRepWaitForLSN') unreplicated.add(client)
  })
  let isMade = false
  // Without a listener, a connection that breaks would end the process.
  client.on('error', error => {
    if (!isMade) return
    isMade = false
    options.lost?.(error)
  })
  await client.connect()
  sockets.set(client, socket)
  try {
    const shown = shownPostgres({ servers: [server], database })
    // A standby takes no writes, and may have heard nothing of its primary for long.
    const own = await timelineOf(client)
    if (own === null) throw new Error(`${shown} is a standby: name its primary, or both`)
    const known = newest.get(settings)
    if (known?.system === own.system && known.timeline > own.timeline)
      throw new Error(`${shown} is a former primary, which another server has taken over from: stop it`)
    newest.set(settings, own)
    isMade = true
    return client
  } catch (error) {
    dropPostgres(client)
    throw error
  }
}

/**
 * Of a primary; null of a standby. The name of the log's file begins with its timeline. On the way JIT compilation ends for the session
 * (PostgreSQL 15, 32): where it guesses tables without statistics to be large, it compiled each look-up of some rows anew, for 130 ms.
 */
async function timelineOf(client: PostgresClient): Promise<Timeline | null> {
  const { rows } = await client.query(
    `SELECT set_config('jit', 'off', false), (SELECT system_identifier::text FROM pg_control_system()) AS system,
       CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline`,
  )
  const { system, timeline } = rows[0] as { system: string; timeline: string | null }
  return timeline === null ? null : { system, timeline: Number.parseInt(timeline, 16) }
}

/** Ends a connection without waiting for a server that may not answer. */
export function dropPostgres(client: PostgresClient): void {
  client.on('error', () => {})
  void client.end().catch(() => {})
  sockets.get(client)?.destroy()
}

function passwordOf(settings: PostgresSettings, server: PostgresServer): string {
  if (settings.passwordFile !== undefined) return readFileSync(settings.passwordFile, 'utf8').trimEnd()
  const found = statSync(settings.passFile, { throwIfNoEntry: false })
  if (found === undefined)
    throw new Error(`PostgreSQL asks for a password: name its file with --registry-password-file`)
  if ((found.mode & 0o077) !== 0)
    throw new Error(`${settings.passFile} can be read by others: make it 0600, or its passwords are not used`)
  const { user, database } = settings
  const password = passwordFromFile(readFileSync(settings.passFile, 'utf8'), { ...server, database, user })
  if (password === null)
    throw new Error(
      `${settings.passFile} has no line for ${user} on ${shownPostgres({ servers: [server], database })}`,
    )
  return password
}

function isLoopback(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host)
}
