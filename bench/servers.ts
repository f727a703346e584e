// The servers under measure, each a process of its own on a free port with the same certificates:
// Rollcall's broker, mosquitto, and a bare tls.createServer that answers every CONNECT with a canned CONNACK.
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { bunEnvironment } from '../cli/service/broker-runtime.ts'
import { freePort } from '../test/harness/free-port.ts'
import type { BenchFleet } from './fleet.ts'

/** `bun`: Rollcall's broker on Bun. */
export type ServerName = 'rollcall' | 'bun' | 'mosquitto' | 'bare'
export type BenchServer = {
  name: ServerName
  port: number
  pid: number
  stop(signal?: NodeJS.Signals): Promise<void>
}

export const bunProgram = new URL('../node_modules/.bin/bun', import.meta.url).pathname
/** `npm install --no-save bun@VERSION` brings it; package.json names the version. */
export const hasBun = existsSync(bunProgram)

/** As `rollcall up` starts its broker. */
export const nodeFlags = [
  '--max-semi-space-size=64',
  `--openssl-config=${new URL('../broker/gate/openssl.cnf', import.meta.url).pathname}`,
]

type ServerOptions = { execArgv?: string[]; env?: NodeJS.ProcessEnv }

/** Starts a server and waits until a device of the fleet can finish a handshake. */
export async function startServer(
  name: ServerName,
  fleet: BenchFleet,
  options: ServerOptions = {},
): Promise<BenchServer> {
  const port = await freePort()
  const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-'))
  const child = commands[name](port, fleet, scratch, options)
  await untilAnswers(port, fleet, child)
  return {
    name,
    port,
    pid: child.pid!,
    async stop(signal = 'SIGTERM') {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill(signal)
      await gone
      rmSync(scratch, { recursive: true, force: true })
    },
  }
}

const commands: Record<
  ServerName,
  (port: number, fleet: BenchFleet, scratch: string, options: ServerOptions) => ChildProcess
> = {
  rollcall: (port, fleet, _scratch, { execArgv = nodeFlags, env = {} }) =>
    rollcall(process.execPath, execArgv, port, fleet, env),
  bun(port, fleet, scratch, { env = {} }) {
    // One broker holds a data directory: this one has a copy, made before another broker starts on the original.
    const data = join(scratch, 'data')
    cpSync(fleet.data, data, { recursive: true })
    return rollcall(bunProgram, [], port, { ...fleet, data }, { ...bunEnvironment({}), ...env })
  },
  mosquitto(port, fleet, scratch) {
    const file = join(scratch, 'mosquitto.conf')
    const lines = [
      `listener ${port} 127.0.0.1`,
      `cafile ${fleet.anchors}`,
      `certfile ${join(fleet.data, 'server.crt')}`,
      `keyfile ${join(fleet.data, 'keys', 'server.key')}`,
      'require_certificate true',
      'use_identity_as_username true',
      'allow_anonymous false',
      'set_tcp_nodelay true',
      'persistence false',
      'max_queued_messages 0',
      'max_inflight_messages 0',
      'log_type error',
      'user root',
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    return spawn('mosquitto', ['-c', file], { stdio: ['ignore', 'ignore', 'ignore'] })
  },
  bare(port, fleet) {
    const entry = new URL('./bare-server.ts', import.meta.url).pathname
    return spawn(process.execPath, [entry, String(port), fleet.data, fleet.anchors], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  },
}

function rollcall(
  program: string,
  execArgv: readonly string[],
  port: number,
  fleet: BenchFleet,
  more: NodeJS.ProcessEnv,
): ChildProcess {
  const entry = new URL('../cli/main.ts', import.meta.url).pathname
  const args = [
    ...execArgv,
    entry,
    'broker',
    '--data',
    fleet.data,
    '--mqtts-port',
    String(port),
    '--admin-port',
    '0',
  ]
  const env = {
    ...process.env,
    ROLLCALL_LOG_LEVEL: 'warn',
    ROLLCALL_BROKER_ADDRESS_RATE_PER_SECOND: '1000000',
    ROLLCALL_BROKER_ADDRESS_BURST: '1000000',
    MALLOC_TRIM_THRESHOLD_: '65536',
    ...more,
  }
  return spawn(program, args, { stdio: ['ignore', 'ignore', 'ignore'], env })
}

/** Until a device of the fleet can finish a handshake. */
export async function untilAnswers(port: number, fleet: BenchFleet, child: ChildProcess): Promise<void> {
  const end = performance.now() + 20_000
  while (performance.now() < end) {
    if (child.exitCode !== null) throw new Error(`server ended with exit code ${child.exitCode}`)
    if (await handshakes(port, fleet)) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error('server did not answer within 20 s')
}

function handshakes(port: number, fleet: BenchFleet): Promise<boolean> {
  const { certificate, key } = fleet.devices[0]!
  return new Promise(resolve => {
    const socket = connect(
      { port, host: '127.0.0.1', ca: fleet.root, servername: 'localhost', cert: certificate, key },
      () => {
        socket.destroy()
        resolve(true)
      },
    )
    socket.on('error', () => resolve(false))
  })
}
