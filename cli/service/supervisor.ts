// Several processes as one: up when all are, failed when one cannot start, and afterwards each kept alive.
// Refuses to know which processes these are: tests hand it stubs.
import { mergeMetrics } from './merged-metrics.ts'
import {
  type ChildOptions,
  type ChildOutput,
  type ChildSpec,
  type SupervisedChild,
  superviseChild,
} from './supervised-child.ts'

export type SupervisorEvents = {
  ready?(name: string, url: string): void
  /** One that was ready before. */
  died?(name: string, why: string): void
  restarting?(name: string, delayMs: number): void
}

type SupervisorOptions = {
  children: readonly ChildSpec[]
  output: ChildOutput
  events?: SupervisorEvents
  /** How long children may take to stop in order before they are killed. */
  stopMs?: number
} & Pick<ChildOptions, 'backoffMinMs' | 'backoffMaxMs' | 'steadyMs' | 'metricsTimeoutMs'>

export type Supervisor = {
  /** Name → URL, once every child was ready. Rejects with a child's own words where it could not start. */
  readonly ready: Promise<Record<string, string>>
  /** The children that do not accept now, in words. */
  missing(): string[]
  pids(): Record<string, number | null>
  /** The children's metrics as one exposition, with the supervisor's own. */
  metrics(): Promise<string>
  /** Passes a signal on to every child. */
  signal(name: NodeJS.Signals): void
  /** Stops every child and resolves when all are gone. Safe to call again. */
  stop(): Promise<void>
}

/** Starts all children at once. After a failed start the caller still calls `stop`. */
export function supervise(options: SupervisorOptions): Supervisor {
  const { events = {}, stopMs = 10_000 } = options
  const { promise: ready, resolve, reject } = Promise.withResolvers<Record<string, string>>()
  // A caller may ignore `ready`; an unhandled rejection would end the supervisor.
  ready.catch(() => {})
  const children: SupervisedChild[] = []
  let started = false
  let stopped: Promise<void> | null = null

  const childOptions: ChildOptions = {
    ...options,
    events: {
      ready(name, url) {
        events.ready?.(name, url)
        const all =
          children.length === options.children.length && children.every(child => child.url() !== null)
        if (!started && all) {
          started = true
          resolve(Object.fromEntries(children.map(child => [child.name, child.url() ?? ''])))
        }
      },
      died(name, why, everReady) {
        // The caller that waits for `ready` reports a failed start; the supervisor does not report it again.
        if (everReady) events.died?.(name, why)
        else reject(new Error(startFailure(name, why)))
      },
      restarting(name, delayMs) {
        events.restarting?.(name, delayMs)
      },
    },
  }
  for (const spec of options.children) children.push(superviseChild(spec, childOptions))

  function missing(): string[] {
    return children.flatMap(child => {
      if (child.url() === null) return [`${child.name} does not accept yet`]
      return child.healthy() ? [] : [`${child.name} cannot do its work now; its log says why`]
    })
  }

  async function metrics(): Promise<string> {
    const texts = await Promise.all(
      children.map(async child => ({ service: child.name, text: (await child.metrics()) ?? '' })),
    )
    return mergeMetrics(texts) + ownMetrics(children)
  }

  async function stopAll(): Promise<void> {
    await Promise.all(children.map(child => child.stop(stopMs)))
    reject(new Error('stopped before everything was up'))
  }

  return {
    ready,
    missing,
    pids: () => Object.fromEntries(children.map(child => [child.name, child.pid])),
    metrics,
    signal(name) {
      for (const child of children) child.signal(name)
    },
    stop: () => {
      stopped ??= stopAll()
      return stopped
    },
  }
}

/** A message of the child's own stands as it is; a bare exit needs the name beside it. */
function startFailure(name: string, why: string): string {
  return /^(killed by|exited with|could not be started)/.test(why)
    ? `${name} did not start: it ${why}; what it wrote above says why`
    : why
}

function ownMetrics(children: readonly SupervisedChild[]): string {
  const up = children.map(child => `rollcall_service_up{service="${child.name}"} ${child.url() ? 1 : 0}`)
  const restarts = children.map(
    child => `rollcall_service_restarts_total{service="${child.name}"} ${child.restarts()}`,
  )
  return [
    '# HELP rollcall_service_up Whether the supervised process accepts.',
    '# TYPE rollcall_service_up gauge',
    ...up,
    '# HELP rollcall_service_restarts_total How often the process was started again after it died.',
    '# TYPE rollcall_service_restarts_total counter',
    ...restarts,
    '',
  ].join('\n')
}
