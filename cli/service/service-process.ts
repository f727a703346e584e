// What the broker's and the provisioning service's processes have in common: one per data directory, told to stop by a
// signal, by the supervisor, or by its disappearance, and asked for metrics. Refuses to know what either service does.
import { flushCompileCache } from 'node:module'
import { createAdminServer } from '../../admin/index.ts'
import { makeDataDirectory, takeDataDirectory } from '../data-directory.ts'
import { exitCodes, report } from '../errors.ts'
import { type ChildMessage, readSupervisorMessage, withHint } from './ipc-messages.ts'

/** What both rooms hand back from their entry function. */
type RunningService = {
  url: string
  ready(): boolean
  metrics(): Promise<string>
  /** In a hurry the service waits only for data that it would lose: its successor may be waiting for the data directory. */
  close(options: { hurry: boolean }): Promise<void>
}

type ServiceProcess = {
  name: 'broker' | 'provisioning'
  data: string
  /** Health and metrics of its own; a supervised process has none, its supervisor asks instead. */
  admin: { host: string; port: number } | null
  start(): Promise<RunningService>
}

/** How long closing in order may take before the process ends regardless. */
const CLOSE_MS = 9_000
/** By then the start has loaded all its code and has served the first requests. */
const CODE_KEPT_AFTER_MS = 5_000
/** How often a supervised process looks whether it can still do its work. */
const HEALTH_MS = 500
/** How long to wait for a former process on the same directory that is closing because its supervisor was killed. */
const FORMER_MS = 10_000

/** Runs one service until it is told to stop. Never returns: the process ends with an exit code. */
export async function runServiceProcess(options: ServiceProcess): Promise<never> {
  const supervised = process.send !== undefined
  process.umask(0o077)
  const stop = Promise.withResolvers<void>()
  let service: RunningService | null = null
  let orphaned = false
  listen()
  try {
    makeDataDirectory(options.data)
    await takeDataDirectory(options.data, options.name, supervised ? FORMER_MS : 0)
    service = await options.start()
    const admin = options.admin ? await openAdmin(options, options.admin, service) : null
    tell({ type: 'ready', url: service.url })
    if (supervised) reportHealth(service)
    // Now, for one that is killed leaves nothing to the next start.
    setTimeout(flushCompileCache, CODE_KEPT_AFTER_MS).unref()
    if (!supervised)
      say(`${options.name} accepts at ${service.url}${admin ? `, health at ${admin.url}/readyz` : ''}`)
    await stop.promise
    await admin?.close()
  } catch (error) {
    return fail(error)
  }
  return leave(exitCodes.done)

  function listen(): void {
    process.once('SIGTERM', () => stopNow())
    // Ctrl-C reaches every process of the terminal; a supervised one leaves the order of things to its supervisor.
    process.on('SIGINT', () => (supervised ? undefined : stopNow()))
    // A service reloads on it where it has something to reload; no service ends by it.
    process.on('SIGHUP', () => {})
    if (!supervised) return
    process.on('disconnect', () => {
      orphaned = true
      stopNow()
    })
    process.on('message', value => {
      const message = readSupervisorMessage(value)
      if (message?.type === 'stop') stopNow()
      if (message?.type === 'metrics') answerMetrics(message.id)
    })
  }

  /** Before the service is there, nothing needs an order. */
  function stopNow(): void {
    if (service === null) process.exit(exitCodes.done)
    stop.resolve()
  }

  /** Tells the supervisor whenever readiness changes. */
  function reportHealth(running: RunningService): void {
    let told = true
    setInterval(() => {
      const ready = running.ready()
      if (ready === told) return
      told = ready
      tell({ type: 'health', ready })
    }, HEALTH_MS).unref()
  }

  function answerMetrics(id: number): void {
    const asked = service === null ? Promise.resolve('') : service.metrics()
    asked.then(
      text => tell({ type: 'metrics', id, text }),
      () => tell({ type: 'metrics', id, text: '' }),
    )
  }

  async function fail(error: unknown): Promise<never> {
    if (supervised) tell({ type: 'failed', message: withHint(error) })
    else report(error, process.stderr)
    return leave(exitCodes.failed)
  }

  async function leave(code: number): Promise<never> {
    const overdue = setTimeout(() => process.exit(exitCodes.failed), CLOSE_MS)
    try {
      await service?.close({ hurry: orphaned })
    } catch (error) {
      report(error, process.stderr)
      code = exitCodes.failed
    }
    clearTimeout(overdue)
    // What was told to the supervisor is on its way first.
    if (process.connected)
      await new Promise<void>(resolve => process.send?.({ type: 'closed' }, () => resolve()))
    process.exit(code)
  }
}

function openAdmin(
  { name }: ServiceProcess,
  { host, port }: { host: string; port: number },
  service: RunningService,
) {
  return createAdminServer({
    host,
    port,
    missing: () => (service.ready() ? [] : [`${name} does not accept yet`]),
    metrics: () => service.metrics(),
  })
}

function tell(message: ChildMessage): void {
  if (process.connected) process.send?.(message, undefined, {}, () => {})
}

function say(words: string): void {
  process.stderr.write(`${words}\n`)
}
