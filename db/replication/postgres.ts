// Connections to PostgreSQL: what `--registry postgres://…` names, the password from a file, TLS with verification off loopback.
// Refuses to know what is asked over them.
import { readFileSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { passwordFromFile } from './password-file.ts'

export type PostgresClient = pg.Client

/** Where the database is. Holds no password: that is read from its file whenever a connection is made. */
export type PostgresSettings = {
  /** A host name, an address, or the directory of a Unix socket. */
  host: string
  port: number
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
const PARAMETERS = ['host', 'sslmode', 'sslrootcert', 'passfile']

/**
 * Reads `postgres://user@host:port/database?sslmode=…&sslrootcert=…&passfile=…`, names as libpq has them (PostgreSQL 15, 34.1.2).
 * `sslmode` is `verify-full`, the default off loopback, or `disable`, the default on loopback and for a Unix socket
 * (`?host=/directory`). Throws an error that says what is wrong and never holds the text: a password may be in it.
 */
export function readPostgresSettings(
  text: string,
  files: { passwordFile?: string | undefined; env?: Record<string, string | undefined> } = {},
): PostgresSettings {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol))
    throw new Error('the registry must be given as postgres://user@host:port/database')
  if (url.password !== '')
    throw new Error(
      'the registry URL must hold no password: put it into a file, and name that with --registry-password-file or ?passfile=',
    )
  const unknown = [...url.searchParams.keys()].filter(name => !PARAMETERS.includes(name))
  if (unknown.length > 0)
    throw new Error(
      `the registry URL has an unknown parameter ${unknown[0]}: known are ${PARAMETERS.join(', ')}`,
    )
  const host = url.searchParams.get('host') ?? url.hostname.replace(/^\[(.*)\]$/, '$1')
  const user = decodeURIComponent(url.username)
  const database = decodeURIComponent(url.pathname.slice(1))
  if (host === '' || user === '' || database === '')
    throw new Error('the registry URL must name user, host and database: postgres://user@host:port/database')
  const sslmode = url.searchParams.get('sslmode') ?? (isLocal(host) ? 'disable' : 'verify-full')
  if (sslmode !== 'disable' && sslmode !== 'verify-full')
    throw new Error('sslmode in the registry URL must be verify-full or disable')
  const root = url.searchParams.get('sslrootcert')
  const env = files.env ?? process.env
  return {
    ...{ host, user, database, port: url.port === '' ? PORT : Number(url.port) },
    tls: sslmode === 'disable' ? false : { ca: root === null ? undefined : readFileSync(root, 'utf8') },
    passwordFile: files.passwordFile,
    passFile: url.searchParams.get('passfile') ?? env['PGPASSFILE'] ?? join(homedir(), '.pgpass'),
  }
}

/** Without a trace of how it was given, for logs. */
export function shownPostgres({ host, port, database }: PostgresSettings): string {
  return host.startsWith('/') ? `${database} at ${host}` : `${database} at ${host}:${port}`
}

/** What each connection was made on, to end it at once. */
const sockets = new WeakMap<PostgresClient, Socket>()

/**
 * One connection. `lost` is called once where it ends by itself; until then a question that is not answered within `answerMs` fails,
 * and its connection must not be used any longer. Throws where none can be made within 5 s.
 */
export async function connectPostgres(
  settings: PostgresSettings,
  options: { name: string; lost?: (error: Error) => void; answerMs?: number },
): Promise<PostgresClient> {
  const { host, port, database, user, tls } = settings
  const socket = new Socket()
  const client = new pg.Client({
    stream: () => socket,
    ...{ host, port, database, user },
    password: () => passwordOf(settings),
    ssl:
      tls === false ? false : { rejectUnauthorized: true, ...(tls.ca === undefined ? {} : { ca: tls.ca }) },
    application_name: options.name,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: options.answerMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
  })
  let told = false
  // Without a listener, a connection that breaks would end the process.
  client.on('error', error => {
    if (told) return
    told = true
    options.lost?.(error)
  })
  await client.connect()
  sockets.set(client, socket)
  return client
}

/** Ends a connection without waiting for a server that may not answer. */
export function dropPostgres(client: PostgresClient): void {
  client.on('error', () => {})
  void client.end().catch(() => {})
  sockets.get(client)?.destroy()
}

function passwordOf(settings: PostgresSettings): string {
  if (settings.passwordFile !== undefined) return readFileSync(settings.passwordFile, 'utf8').trimEnd()
  const found = statSync(settings.passFile, { throwIfNoEntry: false })
  if (found === undefined)
    throw new Error(`PostgreSQL asks for a password: name its file with --registry-password-file`)
  if ((found.mode & 0o077) !== 0)
    throw new Error(`${settings.passFile} can be read by others: make it 0600, or its passwords are not used`)
  const password = passwordFromFile(readFileSync(settings.passFile, 'utf8'), settings)
  if (password === null)
    throw new Error(`${settings.passFile} has no line for ${settings.user} on ${shownPostgres(settings)}`)
  return password
}

function isLocal(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host)
}
