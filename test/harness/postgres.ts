// A PostgreSQL server of Debian in a temporary directory, on a Unix socket there and on a free port of loopback. It may be stopped,
// frozen and killed, and have a standby; nothing of it is left when the test ends.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { childrenOf } from './child-processes.ts'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

export type PostgresServer = {
  /** For `--registry`: over TCP on loopback, without a password. */
  url: string
  /** Runs statements as the owner of the database. */
  query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** SIGSTOP to the server and all its backends: connections stay and nothing answers. */
  freeze(): void
  thaw(): void
  /** Kills it as a power loss does; `start` brings it back on the same port. */
  kill(): Promise<void>
  start(): Promise<void>
  /** A standby by streaming replication, as a server of its own. The first one that is synchronous is waited for by each commit. */
  standby(options?: { synchronous?: boolean }): Promise<Standby>
  close(): Promise<void>
}

export type Standby = PostgresServer & {
  /** Resolves once it takes writes. */
  promote(): Promise<void>
  /** Goes on at the port of the server that it replaces, which was killed. */
  moveTo(url: string): Promise<void>
}

const USER = 'rollcall'
const START_MS = 30_000
const STANDBY = 'standby'

/** What the server shows, as PEM. */
type ServerTls = { certificate: string; key: string }

/**
 * `durable: false` leaves out what protects from power loss, which no test but those of faults needs. `directory` is where its own
 * is made, such as on a small disk.
 */
export async function startPostgres({
  durable = false,
  tls,
  directory: given,
}: {
  durable?: boolean
  tls?: ServerTls
  directory?: string
} = {}): Promise<PostgresServer> {
  const directory = mkdtempSync(join(given ?? tmpdir(), 'rollcall-pg-'))
  const as = unprivileged()
  if (as !== null) chownSync(directory, as.uid, as.gid)
  const data = join(directory, 'data')
  makeData(directory, data)
  if (tls !== undefined)
    for (const [name, text] of [
      ['server.crt', tls.certificate],
      ['server.key', tls.key],
    ] as const) {
      writeFileSync(join(data, name), text, { mode: 0o600 })
      if (as !== null) chownSync(join(data, name), as.uid, as.gid)
    }
  const settings = [
    ...(durable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']),
    ...(tls === undefined ? [] : ['ssl=on']),
  ]
  const server = await serve(directory, settings, await freePort())
  return {
    ...server,
    async standby({ synchronous = false } = {}) {
      const own = mkdtempSync(join(tmpdir(), 'rollcall-pg-'))
      if (as !== null) chownSync(own, as.uid, as.gid)
      run(own, 'pg_basebackup', [
        ...[
          '-d',
          `${server.url}?application_name=${STANDBY}`,
          '-D',
          join(own, 'data'),
          '-R',
          '-c',
          'fast',
          '--no-sync',
        ],
      ])
      const standby = await serve(own, settings, await freePort())
      if (synchronous) {
        await server.query(`ALTER SYSTEM SET synchronous_standby_names = '${STANDBY}'`)
        await server.query('SELECT pg_reload_conf()')
        await until(
          async () =>
            (await server.query("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'")).length > 0,
        )
      }
      return standby
    },
  }
}

/**
 * Data of a new server: a copy of what `npm test` keeps for all its tests at `TEST_POSTGRES`, in a tenth of the time. Alone, and the first
 * time, initdb makes it.
 */
function makeData(directory: string, data: string): void {
  const kept = process.env['TEST_POSTGRES']
  if (kept === undefined || !existsSync(kept)) {
    const options = ['-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions']
    run(directory, 'initdb', ['-D', data, ...options])
    if (kept === undefined) return
    const own = `${kept}.${process.pid}`
    copy(data, own)
    try {
      renameSync(own, kept)
    } catch {
      // Another test has put its own there meanwhile.
      rmSync(own, { recursive: true })
    }
  } else copy(kept, data)
}

/** With owners and modes. */
function copy(from: string, to: string): void {
  execFileSync('cp', ['-a', from, to])
}

/** A directory with data of a server, served. */
async function serve(directory: string, settings: readonly string[], first: number): Promise<Standby> {
  const data = join(directory, 'data')
  let port = first
  let server: ChildProcess | null = null

  async function query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ host: '127.0.0.1', port, user: USER, database: 'postgres', ssl: false })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query(text, values)).rows
    } finally {
      await client.end()
    }
  }

  async function start(): Promise<void> {
    const given = ['listen_addresses=127.0.0.1', ...settings].flatMap(setting => ['-c', setting])
    const options = ['-D', data, '-p', String(port), '-k', directory, ...given]
    const begin = () =>
      spawn(program('postgres'), options, { ...unprivileged(), cwd: directory, stdio: 'ignore' })
    server = begin()
    const end = performance.now() + START_MS
    for (;;) {
      try {
        await query('SELECT 1')
        return
      } catch (error) {
        if (performance.now() >= end) throw error
        // It does not start while a backend of one that was killed, begun at that moment, still ends and has its memory.
        if (server.exitCode !== null) server = begin()
        await new Promise(resolve => setTimeout(resolve, 20))
      }
    }
  }

  async function stop(signal: NodeJS.Signals): Promise<void> {
    if (server === null) return
    const ended = once(server, 'exit')
    signalAll(server, 'SIGCONT')
    if (signal === 'SIGKILL') signalAll(server, 'SIGKILL')
    else server.kill(signal)
    await ended
    server = null
    // A server that was killed leaves it, and the next one would look whether that process is alive.
    rmSync(join(data, 'postmaster.pid'), { force: true })
  }

  const urlAt = (at: number) => `postgres://${USER}@127.0.0.1:${at}/postgres`
  await start()
  return {
    get url() {
      return urlAt(port)
    },
    query,
    freeze: () => signalAll(server!, 'SIGSTOP'),
    thaw: () => signalAll(server!, 'SIGCONT'),
    kill: () => stop('SIGKILL'),
    start,
    standby: () => Promise.reject(new Error('a standby has none of its own')),
    async promote() {
      // What it was to wait for, as its primary did, is nobody.
      await query("ALTER SYSTEM SET synchronous_standby_names = ''")
      await query('SELECT pg_promote()')
    },
    async moveTo(url) {
      await stop('SIGINT')
      port = Number(new URL(url).port)
      await start()
    },
    async close() {
      await stop('SIGINT')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function program(name: string): string {
  const bin = globSync('/usr/lib/postgresql/*/bin').sort().at(-1)
  if (bin === undefined) throw new Error('PostgreSQL is not installed: apt-get install postgresql')
  return join(bin, name)
}

function run(cwd: string, name: string, options: readonly string[]): void {
  execFileSync(program(name), options, { ...unprivileged(), cwd, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Each backend is in a process group of its own. */
function signalAll(server: ChildProcess, signal: NodeJS.Signals): void {
  for (const pid of [server.pid!, ...childrenOf(server.pid!)])
    try {
      process.kill(pid, signal)
    } catch {
      // It has just ended.
    }
}

/** initdb and postgres refuse to run as root: there they run as the user that the package made. */
function unprivileged(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find(entry => entry.startsWith('postgres:'))
  if (line === undefined) throw new Error('there is no user postgres: apt-get install postgresql')
  const [, , uid, gid] = line.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}
