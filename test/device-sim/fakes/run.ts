// A scenario as a function of its YAML: run against a fake context or any target, its summary and samples given back.
import { createRunListeners } from '../../../device-sim/results/run-listeners.ts'
import type { Sample } from '../../../device-sim/results/sample.ts'
import type { RunEvent, Summary } from '../../../device-sim/results/summary.ts'
import { type RunOptions, runScenario } from '../../../device-sim/run/run.ts'
import { findRunTarget, type RunFlags } from '../../../device-sim/run/target.ts'
import { planOf } from '../../../device-sim/scenario/plan.ts'
import { parseScenario } from '../../../device-sim/scenario/read.ts'

export type Ran = { summary: Summary; samples: Sample[]; events: RunEvent[] }

export type RunChoices = {
  signal?: AbortSignal
  operator?: string
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
  const listeners = createRunListeners()
  listeners.listen({
    sample(sample) {
      samples.push(sample)
      choices.onSample?.(sample)
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
    operatorCommand: choices.operator ?? null,
    enrollConcurrency: 8,
    version: '0',
  }
  return { summary: await runScenario(options), samples, events }
}
