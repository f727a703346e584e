// `rollcall up`: broker and provisioning service on one data directory, supervised, with one place for their health.
// Holds no key and serves no device: it starts processes, watches them, and tells a newcomer what to do next.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, Option } from 'commander'
import { createAdminServer } from '../../admin/index.ts'
import {
  dataPaths,
  makeDataDirectory,
  removeEndpoints,
  takeDataDirectory,
  writeEndpoints,
} from '../data-directory.ts'
import { CommandFailed, exitCodes } from '../errors.ts'
import { collect, portNumber } from '../options.ts'
import {
  type BrokerRuntime,
  brokerRuntimes,
  bunEnvironment,
  type ChosenRuntime,
  chooseBrokerRuntime,
} from './broker-runtime.ts'
import { codeCacheVariable } from './code-cache.ts'
import { HINT } from './ipc-messages.ts'
import { createServiceLog } from './log-lines.ts'
import { startupMessage } from './startup-message.ts'
import type { ChildProgram, ChildSpec } from './supervised-child.ts'
import { supervise } from './supervisor.ts'
import { createSystemdNotifier } from './systemd.ts'
import {
  type BrokerVariableFlags,
  environmentOf,
  type ProvisioningVariableFlags,
  type RegistryVariableFlags,
  withBrokerVariables,
  withCaKeyType,
  withNode,
  withPq,
  withRegistry,
} from './variable-flags.ts'

export type UpFlags = BrokerVariableFlags &
  ProvisioningVariableFlags &
  RegistryVariableFlags & {
    data: string
    host: string
    mqttsPort: number
    apiPort: number
    adminPort: number
    statusPort: number
    san: string[]
    brokerRuntime: BrokerRuntime
    output: 'table' | 'json'
  }

export function upCommand(): Command {
  return withUpOptions(new Command('up'))
    .description(
      'Runs the broker and the provisioning service, and restarts what dies. The first start lays everything.',
    )
    .addOption(
      new Option('-o, --output <format>', 'json prints one line once both accept')
        .choices(['table', 'json'])
        .default('table'),
    )
    .action(async (flags: UpFlags) => {
      process.exit(await up(flags))
    })
}

/** What says how `up` runs; `config` takes it too, to tell what would come of it. */
export function withUpOptions(command: Command): Command {
  command
    .requiredOption('--data <dir>', 'data directory: registry, CAs, keys, API token')
    .optionsGroup('Addresses and ports:')
    .option('--host <address>', 'address that devices and operators connect to', '127.0.0.1')
    .option('--mqtts-port <port>', 'port for devices; 0 picks a free one', portNumber, 8883)
    .option('--api-port <port>', 'port for the HTTP API; 0 picks a free one', portNumber, 8443)
    .option('--status-port <port>', 'plain HTTP port for CRL and OCSP; 0 picks a free one', portNumber, 8880)
    .option('--admin-port <port>', 'loopback port for /livez, /readyz and /metrics', portNumber, 9464)
    .option('--san <name>', 'one more name or address in the server certificate (repeatable)', collect, [])
    .optionsGroup('Connections:')
    .addOption(
      new Option(
        '--broker-runtime <name>',
        'what runs the broker: bun, where the package bun is installed and passes a check; auto: bun if so, else node',
      )
        .choices(brokerRuntimes)
        .default('node'),
    )
  withBrokerVariables(command)
  withCaKeyType(withPq(command.optionsGroup('Keys:')))
  withNode(withRegistry(command.optionsGroup('Several machines:')))
  return command.optionsGroup('Options:')
}

/** Runs until a signal says stop; gives the exit code. Throws where something could not start, leaving nothing running. */
async function up(flags: UpFlags): Promise<number> {
  process.umask(0o077)
  const told = Promise.withResolvers<'stop'>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => told.resolve('stop'))

  const serviceManager = createSystemdNotifier(process.env)
  makeDataDirectory(flags.data)
  const lock = await takeDataDirectory(flags.data, 'up')
  // A supervisor that was killed could not take its word back.
  removeEndpoints(flags.data)
  const log = createServiceLog({ readable: flags.output === 'table' && process.stderr.isTTY === true })
  const runtime = chooseBrokerRuntime(flags.brokerRuntime)
  const broker = Promise.resolve(runtime).then(chosen => {
    const { name, why } = chosen
    if (why !== null) log.note(30, 'broker runtime chosen', { runtime: name, why })
    return brokerProgram(flags, chosen)
  })
  // Provisioning starts meanwhile.
  const children: ChildSpec[] = [
    { name: 'provisioning', ...provisioningProgram(flags) },
    { name: 'broker', program: broker },
  ]
  const supervisor = supervise({ children, output: log.output, events: log.events })
  // SIGHUP asks a service to reload; from a terminal it means that the terminal is gone.
  process.on('SIGHUP', () => (process.stdin.isTTY ? told.resolve('stop') : supervisor.signal('SIGHUP')))
  let admin: { url: string; close(): Promise<void> } | null = null
  try {
    admin = await createAdminServer({
      host: '127.0.0.1',
      port: flags.adminPort,
      missing: supervisor.missing,
      metrics: supervisor.metrics,
    })
    const urls = await Promise.race([supervisor.ready, told.promise])
    if (urls !== 'stop') {
      await announce(flags, {
        mqtts: reachable(urls['broker']),
        api: reachable(urls['provisioning']),
        admin: admin.url,
      })
      serviceManager.ready()
      await told.promise
    }
    return exitCodes.done
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const [what = '', hint = ''] = message.split(`\n${HINT}`)
    throw new CommandFailed(what, hint, { cause: error })
  } finally {
    serviceManager.stopping()
    removeEndpoints(flags.data)
    // A check of the runtime ends its own process.
    await Promise.allSettled([supervisor.stop(), admin?.close(), broker])
    lock.release()
  }
}

async function announce(
  flags: UpFlags,
  endpoints: { mqtts: string; api: string; admin: string },
): Promise<void> {
  writeEndpoints(flags.data, endpoints)
  const text =
    flags.output === 'json'
      ? `${JSON.stringify({ ready: true, ...endpoints, data: flags.data })}\n`
      : startupMessage({ ...endpoints, data: flags.data }, await isRollEmpty(flags.data))
  process.stdout.write(text)
}

/** Not known where the registry cannot be read now: then nobody is taken for a newcomer. */
async function isRollEmpty(data: string): Promise<boolean> {
  const { openForReading } = await import('../../db/open.ts')
  try {
    const { sqlite } = openForReading(dataPaths(data).registry)
    const found = sqlite.prepare('SELECT 1 FROM devices LIMIT 1').get()
    sqlite.close()
    return found === undefined
  } catch {
    return false
  }
}

/** Both services are this very program with other arguments. A restart keeps the port that the first start was given. */
const main = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url),
)

function provisioningProgram(flags: UpFlags): ChildProgram {
  return {
    command: process.execPath,
    env: { ...codeCacheVariable(flags.data), ...environmentOf(flags) },
    args: formerUrl => [
      ...[main, 'provisioning', '--data', flags.data, '--host', flags.host],
      ...['--api-port', port(formerUrl, flags.apiPort), '--status-port', String(flags.statusPort)],
      ...flags.san.flatMap(name => ['--san', name]),
    ],
  }
}

function brokerProgram(flags: UpFlags, runtime: ChosenRuntime): ChildProgram {
  return {
    command: runtime.program,
    args: formerUrl => [
      ...(runtime.name === 'node' ? brokerNodeFlags() : []),
      ...[main, 'broker', '--data', flags.data, '--host', flags.host],
      ...['--mqtts-port', port(formerUrl, flags.mqttsPort)],
    ],
    env: {
      ...codeCacheVariable(flags.data),
      MALLOC_TRIM_THRESHOLD_: process.env['MALLOC_TRIM_THRESHOLD_'] ?? '65536',
      ...(runtime.name === 'bun' && bunEnvironment({ ...process.env, ...environmentOf(flags) })),
      ...environmentOf(flags),
    },
  }
}

/** What the broker's Node must be told before it starts; each was measured. */
function brokerNodeFlags(): string[] {
  // A young generation with room for a storm of handshakes. Freed memory goes back early (MALLOC_TRIM_THRESHOLD_).
  const flags = ['--max-semi-space-size=64']
  const openssl = fileURLToPath(new URL('../../broker/gate/openssl.cnf', import.meta.url))
  return existsSync(openssl) ? [...flags, `--openssl-config=${openssl}`] : flags
}

function port(formerUrl: string | null, asked: number): string {
  return formerUrl === null ? String(asked) : new URL(formerUrl).port
}

/** A service that listens on every address is reached at the loopback one. */
function reachable(url: string | undefined): string {
  const reached = (url ?? '').replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//localhost:')
  return reached.replace(/\/$/, '')
}
