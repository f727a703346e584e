// One supervised process through all its lives: spawned, ready, dead, waited for, spawned again.
// Refuses to know what runs inside, and holds no key.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { readChildMessage, type SupervisorMessage, withHint } from './ipc-messages.ts'

/** How a child is run. */
export type ChildProgram = {
  command: string
  /** Arguments, given the URL this child was reached at in its former life (null in its first): ports stay the same. */
  args(formerUrl: string | null): string[]
  env?: NodeJS.ProcessEnv
}

/** A program that is still being chosen starts when it is known; where it cannot be, the start has failed. */
export type ChildSpec = { name: string } & (ChildProgram | { program: Promise<ChildProgram> })

export type ChildOutput = 'inherit' | ((name: string, stderr: Readable) => void)

type ChildEvents = {
  ready(name: string, url: string): void
  /** It is gone. `why` is its own message where it gave one. */
  died(name: string, why: string, everReady: boolean): void
  restarting(name: string, delayMs: number): void
}

export type SupervisedChild = {
  readonly name: string
  readonly pid: number | null
  /** Where it accepts now; null while it does not. */
  url(): string | null
  /** Whether it can do its work, by its own last word. */
  healthy(): boolean
  restarts(): number
  /** Its metrics; null where it is not ready or does not answer in time. */
  metrics(): Promise<string | null>
  /** Passes a signal on. */
  signal(name: NodeJS.Signals): void
  /** Asks it to stop, kills it after `graceMs`, and resolves once it is gone. */
  stop(graceMs: number): Promise<void>
}

export type ChildOptions = {
  output: ChildOutput
  events: ChildEvents
  /**
   * Wait before the first restart; doubled up to `backoffMaxMs`, forgotten after `steadyMs` of readiness. Even the
   * longest wait is short: devices are without a broker meanwhile.
   */
  backoffMinMs?: number
  backoffMaxMs?: number
  steadyMs?: number
  metricsTimeoutMs?: number
}

/** Spawns a child and keeps it alive. One that dies before it was ever ready is not restarted: that is a failed start. */
export function superviseChild(spec: ChildSpec, options: ChildOptions): SupervisedChild {
  const {
    events,
    backoffMinMs = 100,
    backoffMaxMs = 1_000,
    steadyMs = 10_000,
    metricsTimeoutMs = 2_000,
  } = options
  let child: ChildProcess | null = null
  let url: string | null = null
  let formerUrl: string | null = null
  let healthy = false
  let lastWords: string | null = null
  let readySince = 0
  let restarts = 0
  let backoffMs = backoffMinMs
  let restartTimer: NodeJS.Timeout | undefined
  let stopping = false
  let questions = 0
  const asked = new Map<number, (text: string | null) => void>()

  function start(program: ChildProgram): void {
    lastWords = null
    const passes = options.output === 'inherit'
    // A child's stdout is our stderr: data on stdout is the supervisor's alone.
    const started = spawn(program.command, program.args(formerUrl), {
      stdio: ['ignore', 2, passes ? 2 : 'pipe', 'ipc'],
      env: { ...process.env, ...program.env },
    })
    child = started
    if (started.stderr && options.output !== 'inherit') options.output(spec.name, started.stderr)
    started.on('message', hear)
    let gone = false
    const end = (why: string) => {
      if (gone) return
      gone = true
      ended(why, () => start(program))
    }
    started.once('error', error => end(`could not be started (${error.message})`))
    // 'close' and not 'exit': whatever it wrote has been read by then.
    started.once('close', (code, signal) => end(signal ? `killed by ${signal}` : `exited with code ${code}`))
  }

  function hear(value: unknown): void {
    const message = readChildMessage(value)
    if (message?.type === 'ready' && url === null) {
      url = message.url
      healthy = true
      formerUrl = url
      readySince = performance.now()
      events.ready(spec.name, url)
    } else if (message?.type === 'health') {
      healthy = message.ready
    } else if (message?.type === 'failed') {
      lastWords = message.message
    } else if (message?.type === 'metrics') {
      asked.get(message.id)?.(message.text)
    }
  }

  function ended(how: string, startAgain: () => void): void {
    const wasSteady = url !== null && performance.now() - readySince >= steadyMs
    child = null
    url = null
    healthy = false
    for (const resolve of asked.values()) resolve(null)
    if (stopping) return
    const everReady = formerUrl !== null
    events.died(spec.name, lastWords ?? how, everReady)
    if (!everReady || stopping) return
    if (wasSteady) backoffMs = backoffMinMs
    events.restarting(spec.name, backoffMs)
    restartTimer = setTimeout(() => {
      restarts++
      startAgain()
    }, backoffMs)
    backoffMs = Math.min(backoffMs * 2, backoffMaxMs)
  }

  function tell(message: SupervisorMessage): void {
    if (child?.connected) child.send(message, () => {})
  }

  function metrics(): Promise<string | null> {
    if (url === null) return Promise.resolve(null)
    const id = ++questions
    return new Promise(resolve => {
      const settle = (text: string | null) => {
        clearTimeout(timer)
        asked.delete(id)
        resolve(text)
      }
      const timer = setTimeout(() => settle(null), metricsTimeoutMs)
      asked.set(id, settle)
      tell({ type: 'metrics', id })
    })
  }

  async function stop(graceMs: number): Promise<void> {
    stopping = true
    clearTimeout(restartTimer)
    const last = child
    if (last === null) return
    const closed = new Promise<void>(resolve => last.once('close', () => resolve()))
    tell({ type: 'stop' })
    const timer = setTimeout(() => last.kill('SIGKILL'), graceMs)
    await closed
    clearTimeout(timer)
  }

  if ('program' in spec) {
    spec.program.then(
      program => stopping || start(program),
      error => stopping || events.died(spec.name, withHint(error), false),
    )
  } else start(spec)
  return {
    name: spec.name,
    get pid() {
      return child?.pid ?? null
    },
    url: () => url,
    healthy: () => healthy,
    restarts: () => restarts,
    metrics,
    signal: signal => void child?.kill(signal),
    stop,
  }
}
