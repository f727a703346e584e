// What is known of a run before it starts: its plan, its target and the machine, as outputs and the summary show them.
import { availableParallelism, totalmem } from 'node:os'
import type { RunFacts } from '../results/summary.ts'
import { stageTimes } from '../scenario/stage-times.ts'
import type { RunOptions } from './run-options.ts'

/** `at` is the start of the run. */
export function factsOf(
  { plan, source, target, runtime, version }: RunOptions,
  workers: number,
  runId: string,
  at: Date,
): RunFacts {
  const { beginsAtMs, endsAtMs } = stageTimes(plan)
  return {
    name: plan.name,
    description: plan.description,
    source,
    seed: plan.seed,
    runId,
    startedAt: at.toISOString(),
    broker: target.broker.url,
    workers,
    agents: [],
    sources: plan.sources,
    groups: plan.groups.map(({ name, count, link, protocol, keyType, fault, expect }) => {
      return { name, count, link, protocol, keyType, fault, expect }
    }),
    stages: plan.stages.map(({ name, kind }, index) => ({
      name,
      kind,
      beginsAtSeconds: (beginsAtMs[index] ?? 0) / 1000,
      endsAtSeconds: (beginsAtMs[index + 1] ?? endsAtMs) / 1000,
    })),
    tool: {
      version,
      node: process.version,
      runtime: `${runtime.name} ${runtime.version}`,
      platform: `${process.platform} ${process.arch}`,
      cpus: availableParallelism(),
      memoryBytes: totalmem(),
    },
  }
}
