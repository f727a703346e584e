// The listeners of a run: they get its facts once, then samples and events, then the summary.
// They are in device-sim/output/: live view, NDJSON, Prometheus.
import type { Sample } from './sample.ts'
import type { RunEvent, RunFacts, Summary } from './summary.ts'

/** Called in this order: `started` once, `sample` each second and `event` as they come, `ended` once. */
export type RunListener = {
  started?(facts: RunFacts): void
  sample?(sample: Sample): void
  event?(event: RunEvent): void
  ended?(summary: Summary): void
  /** Work with a known end before the run starts: `enrolling`, `starting workers`. */
  step?(what: string, done: number, total: number): void
}

export type RunListeners = Required<RunListener> & { listen(listener: RunListener): void }

export function createRunListeners(): RunListeners {
  const listeners: RunListener[] = []
  return {
    listen: listener => void listeners.push(listener),
    started: facts => {
      for (const listener of listeners) listener.started?.(facts)
    },
    sample: sample => {
      for (const listener of listeners) listener.sample?.(sample)
    },
    event: event => {
      for (const listener of listeners) listener.event?.(event)
    },
    ended: summary => {
      for (const listener of listeners) listener.ended?.(summary)
    },
    step: (what, done, total) => {
      for (const listener of listeners) listener.step?.(what, done, total)
    },
  }
}
