// A PostgreSQL server of Debian in a temporary directory, on a Unix socket there and on a free port of loopback. It may be stopped,
// frozen and killed; nothing of it is left when the test ends.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'

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
  close(): Promise<void>
}

const USER = 'rollcall'
const START_MS = 30_000

/** What the server shows, as PEM. */
type ServerTls = { certificate: string; key: string }

/** `durable: false` leaves out what protects from power loss, which no test but those of faults needs. */
export async function startPostgres({
  durable = false,
  tls,
}: {
  durable?: boolean
  tls?: ServerTls
} = {}): Promise<PostgresServer> {
  const bin = globSync('/usr/lib/postgresql/*/bin').sort().at(-1)
  if (bin === undefined) throw new Error('PostgreSQL is not installed: apt-get install postgresql')
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-pg-'))
  const as = unprivileged()
  if (as !== null) chownSync(directory, as.uid, as.gid)
  const data = join(directory, 'data')
  const own = { ...as, cwd: directory }
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'],
    { ...own, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const port = await freePort()
  if (tls !== undefined)
    for (const [name, text] of [
      ['server.crt', tls.certificate],
      ['server.key', tls.key],
    ] as const) {
      writeFileSync(join(data, name), text, { mode: 0o600 })
      if (as !== null) chownSync(join(data, name), as.uid, as.gid)
    }
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
    const encrypted = tls === undefined ? [] : ['-c', 'ssl=on']
    const settings = durable
      ? []
      : ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off']
    server = spawn(
      join(bin!, 'postgres'),
      [
        '-D',
        data,
        '-p',
        String(port),
        '-c',
        'listen_addresses=127.0.0.1',
        '-k',
        directory,
        ...settings,
        ...encrypted,
      ],
      { ...own, stdio: 'ignore' },
    )
    const end = performance.now() + START_MS
    for (;;) {
      try {
        await query('SELECT 1')
        return
      } catch (error) {
        if (performance.now() >= end) throw error
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

  await start()
  return {
    url: `postgres://${USER}@127.0.0.1:${port}/postgres`,
    query,
    freeze: () => signalAll(server!, 'SIGSTOP'),
    thaw: () => signalAll(server!, 'SIGCONT'),
    kill: () => stop('SIGKILL'),
    start,
    async close() {
      await stop('SIGINT')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Each backend is in a process group of its own. */
function signalAll(server: ChildProcess, signal: NodeJS.Signals): void {
  const children = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8').trim().split(' ')
  for (const pid of [server.pid!, ...children.filter(Boolean).map(Number)])
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
