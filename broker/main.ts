// The broker as a process: waits for the files that provisioning creates, starts, and reports why it cannot.
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { asRegistryError, RegistryError } from '../db/registry-error.ts'
import { type PostgresSettings, readPostgresSettings } from '../db/replication/postgres.ts'
import { writeBrokerSettings } from '../db/service-records.ts'
import { NotPrepared } from './gate/tls/tls-context.ts'
import { type Broker, type BrokerOptions, startBroker } from './index.ts'
import { createLog } from './observability/logging.ts'
import { effectiveBrokerSettings } from './settings/effective.ts'
import { readBrokerSettings } from './settings/sources.ts'
import { SNAPSHOT_KEY } from './shared-parts.ts'

type RunBrokerOptions = {
  data: string
  host: string
  mqttsPort: number
  /** A pino level; `silent` for none. */
  logLevel?: string
  env?: NodeJS.ProcessEnv
  /** How long to wait for registry and certificates. */
  waitMs?: number
}

type RunningBroker = {
  /** mqtts://host:port */
  url: string
  ready(): boolean
  metrics(): Promise<string>
  /** With `hurry` unfinished messages are not finished: devices send them again. */
  close(options: { hurry: boolean }): Promise<void>
}

const NEEDED = ['ca.crt', 'server.crt', join('keys', 'server.key')]
const LOOK_EVERY_MS = 50

/** Runs a broker on a data directory. Throws an Error that names the problem and the remedy. */
export async function runBroker(options: RunBrokerOptions): Promise<RunningBroker> {
  const env = options.env ?? process.env
  const settings = readBrokerSettings(options.data, env)
  const log = createLog(options.logLevel ?? env['ROLLCALL_LOG_LEVEL'] ?? 'info')
  const shared = sharedBy(env)
  const others = await otherNodesBy(env, shared?.settings)
  const snapshot = env['ROLLCALL_SNAPSHOT'] || null
  const needed = [
    ...(shared === null && snapshot === null ? ['registry.db'] : []),
    ...(snapshot === null ? NEEDED : [...NEEDED, SNAPSHOT_KEY]),
  ]
  const broker = await startWhenPrepared(options.waitMs ?? 30_000, options.data, needed, () =>
    startBroker({
      data: options.data,
      host: options.host,
      port: options.mqttsPort,
      settings,
      log,
      shared,
      snapshot,
      ...others,
    }),
  ).catch(error => {
    throw inWords(error, options)
  })
  try {
    const { settings: rows } = effectiveBrokerSettings(options.data, env)
    writeBrokerSettings(options.data, { startedAt: Date.now(), settings: rows })
  } catch (error) {
    log.warn({ err: error }, 'settings not shown to operators: the data directory cannot be written now')
  }
  process.on('SIGHUP', broker.reload)
  return {
    url: `mqtts://${options.host.includes(':') ? `[${options.host}]` : options.host}:${broker.port}`,
    ready: broker.ready,
    metrics: broker.metrics,
    async close({ hurry }) {
      process.off('SIGHUP', broker.reload)
      await broker.close({ hurry })
    },
  }
}

/** While provisioning starts, files may still be missing, the schema old, the server certificate expired. */
async function startWhenPrepared(
  waitMs: number,
  data: string,
  needed: readonly string[],
  start: () => Promise<Broker>,
): Promise<Broker> {
  const end = performance.now() + waitMs
  for (;;) {
    const missing = needed.filter(file => !existsSync(join(data, file)))
    if (missing.length === 0) {
      try {
        return await start()
      } catch (error) {
        if (!isPassing(error) || performance.now() >= end) throw error
      }
    } else if (performance.now() >= end) {
      throw new Error(
        `${data} lacks ${missing.join(', ')}: start provisioning on it first (rollcall up does both)`,
      )
    }
    await new Promise(resolve => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

/** The registry that the environment names, and how it calls this broker. */
function sharedBy(env: NodeJS.ProcessEnv) {
  const url = env['ROLLCALL_REGISTRY'] || null
  if (url === null) return null
  const passwordFile = env['ROLLCALL_REGISTRY_PASSWORD_FILE'] || undefined
  return { settings: readPostgresSettings(url, { passwordFile }), node: env['ROLLCALL_NODE'] || hostname() }
}

const PASSING = ['registry_outdated', 'registry_busy', 'registry_missing', 'registry_unreachable']

/** The bus that the environment names; nothing where it names none. Throws an Error that says what is missing. */
async function otherNodesBy(
  env: NodeJS.ProcessEnv,
  postgres: PostgresSettings | undefined,
): Promise<Pick<BrokerOptions, 'cluster' | 'onFatal'>> {
  const bus = env['ROLLCALL_BUS'] || null
  if (bus === null) return {}
  if (postgres === undefined)
    throw new Error('--bus needs --registry postgres://…, too: what nodes share lasts in the same database')
  const { readBusAddress } = await import('./bus/address.ts') // with a client that a single node does not need
  return {
    cluster: { bus: readBusAddress(bus), postgres },
    // Whatever restarts it begins a new life of this node.
    onFatal: () => process.exit(1),
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof NotPrepared) return true
  const known = asRegistryError(error)
  return known instanceof RegistryError && PASSING.includes(known.code)
}

function inWords(error: unknown, { host, mqttsPort }: RunBrokerOptions): unknown {
  const code = (error as NodeJS.ErrnoException).code
  const where = `${host}:${mqttsPort}`
  const because = { cause: error }
  if (code === 'EADDRINUSE')
    return new Error(`${where} is in use: stop what listens there or choose another --mqtts-port`, because)
  if (code === 'EACCES')
    return new Error(`not allowed to listen on ${where}: choose a --mqtts-port above 1023`, because)
  if (code === 'EADDRNOTAVAIL')
    return new Error(`${host} is no address of this machine: choose another --host`, because)
  return asRegistryError(error)
}
