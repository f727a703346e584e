// A scenario as a function of its YAML: run against a fake context or any target, its summary and samples given back.
import { createRunListeners } from '../../../device-sim/results/run-listeners.ts'
import type { Sample } from '../../../device-sim/results/sample.ts'
import type { RunEvent, Summary } from '../../../device-sim/results/summary.ts'
import { addUp } from '../../../device-sim/results/tick.ts'
import { runScenario } from '../../../device-sim/run/run.ts'
import type { RunOptions } from '../../../device-sim/run/run-options.ts'
import { findRunTarget, type RunFlags } from '../../../device-sim/run/target.ts'
import { planOf } from '../../../device-sim/scenario/plan.ts'
import { parseScenario } from '../../../device-sim/scenario/read.ts'
import { chooseRuntime, type RuntimeName } from '../../../device-sim/workers/runtime.ts'

export type Ran = { summary: Summary; samples: Sample[]; events: RunEvent[] }

/** Of the samples of a run until now; `population` and `stage` as at the last. */
export type Sum = Pick<Sample, 'population' | 'stage'> & {
  admitted: number
  drops: number
  wronglyAdmitted: number
  received: number
  failures: Record<string, number>
  refusals: Record<string, { expected: number; unexpected: number }>
}

export type RunChoices = {
  signal?: AbortSignal
  /** Ends the run as when its time is up, so that its stages may last as long as the slowest machine needs. */
  until?: Promise<unknown>
  /** The same, asked at each sample, with what all samples add up to. */
  enough?: (sum: Sum) => boolean
  operator?: string
  agents?: RunOptions['agents']
  version?: string
  /** That the workers run on. */
  runtime?: RuntimeName
  onSample?: (sample: Sample) => void
  onEvent?: (event: RunEvent) => void
}

/** @throws where the scenario has faults or the run cannot start. */
export async function runText(yaml: string, flags: RunFlags, choices: RunChoices = {}): Promise<Ran> {
  const { scenario, locate } = parseScenario(yaml, 'test.yaml')
  const { plan, faults } = planOf(scenario)
  if (!plan) throw new Error(faults.map(locate).join('\n'))
  const samples: Sample[] = []
  const events: RunEvent[] = []
  const timeUp = new AbortController()
  choices.until?.then(() => timeUp.abort())
  const listeners = createRunListeners()
  listeners.listen({
    sample(sample) {
      samples.push(sample)
      choices.onSample?.(sample)
      if (choices.enough?.(sumOf(samples)) === true) timeUp.abort()
    },
    event(event) {
      events.push(event)
      choices.onEvent?.(event)
    },
  })
  const options: RunOptions = {
    plan,
    source: 'test.yaml',
    target: findRunTarget(plan, flags, {}, null),
    listeners,
    signal: choices.signal ?? new AbortController().signal,
    timeUp: timeUp.signal,
    operatorCommand: choices.operator ?? null,
    agents: choices.agents ?? null,
    runtime: await chooseRuntime(choices.runtime),
    enrollConcurrency: 8,
    version: choices.version ?? '0',
  }
  return { summary: await runScenario(options), samples, events }
}

function sumOf(samples: readonly Sample[]): Sum {
  const { population, stage } = samples.at(-1) as Sample
  const sum = { admitted: 0, drops: 0, wronglyAdmitted: 0, received: 0, failures: {}, refusals: {} }
  for (const { connects, drops, wronglyAdmitted, traffic, failures, refusals } of samples) {
    sum.admitted += connects.admitted
    sum.wronglyAdmitted += wronglyAdmitted
    for (const count of Object.values(drops)) sum.drops += count
    for (const { received } of Object.values(traffic)) sum.received += received
    addUp(sum.failures, failures)
    addUp(sum.refusals, refusals)
  }
  return { ...sum, population, stage }
}
