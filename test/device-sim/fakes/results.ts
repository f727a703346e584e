// Samples and summaries of invented runs, to be shown or compared.

import { createHistogram } from '../../../device-sim/results/histogram.ts'
import type { Percentiles, Sample } from '../../../device-sim/results/sample.ts'
import { createSamples } from '../../../device-sim/results/samples.ts'
import type { RunFacts, Summary } from '../../../device-sim/results/summary.ts'
import {
  createCounts,
  createLatencies,
  noPopulation,
  noTraffic,
  takeLatencies,
} from '../../../device-sim/results/tick.ts'
import { type OutcomeInput, summaryOf } from '../../../device-sim/run/outcome.ts'

export function latencies(...values: number[]): Percentiles {
  const histogram = createHistogram()
  for (const value of values) histogram.record(value)
  return histogram.read()
}

/** A quiet second of a fleet that is connected. */
export function sampleOf(second: number, change: Partial<Sample> = {}): Sample {
  const traffic = { ...noTraffic(), sent: 100, acknowledged: 100, received: 100 }
  return {
    sample: 1,
    at: new Date(second * 1000).toISOString(),
    elapsedSeconds: second,
    seconds: 1,
    stage: 'run',
    population: { ...noPopulation(), total: 10, connected: 10 },
    connects: { attempts: 0, admitted: 0, refused: 0, failed: 0, resumed: 0, latencyMs: latencies() },
    refusals: {},
    wronglyAdmitted: 0,
    wronglyRefused: 0,
    failures: {},
    drops: {},
    reasons: {},
    traffic: { qos0: noTraffic(), qos1: traffic, qos2: noTraffic() },
    acknowledgeMs: latencies(1, 2, 3),
    deliverMs: latencies(2, 3, 4),
    connectPartsMs: { tcp: latencies(), tls: latencies(), connack: latencies() },
    octaves: { connect: [], acknowledge: [0, 0, 0, 0, 1, 2], deliver: [] },
    tool: { cpuBusiest: 0.1, cpuTotal: 0.2, rssBytes: 1e8, lateMs: latencies(0.1) },
    watched: null,
    ...change,
  }
}

export function factsOf(change: Partial<RunFacts> = {}): RunFacts {
  return {
    name: 'fake',
    description: '',
    source: 'fake.yaml',
    seed: 1,
    runId: 'abcd',
    startedAt: '2026-01-01T00:00:00.000Z',
    broker: 'mqtts://127.0.0.1:8883',
    workers: 1,
    agents: [],
    sources: [],
    groups: [
      {
        name: 'meters',
        count: 10,
        link: 'lean',
        protocol: 4,
        keyType: 'p256',
        fault: null,
        expect: 'admitted',
      },
    ],
    stages: [{ name: 'run', kind: 'steady', beginsAtSeconds: 0, endsAtSeconds: 10 }],
    tool: { version: '0', node: 'v24', platform: 'linux x64', cpus: 2, memoryBytes: 4e9 },
    ...change,
  }
}

/** Ten devices that were admitted and sent; `findings` and facts as given. */
export function summaryWith(change: {
  run?: Partial<RunFacts>
  findings?: Partial<OutcomeInput['findings']>
  acknowledgeMs?: number[]
  lost?: number
  refusals?: Summary['refusals']
}): Summary {
  const run = factsOf(change.run)
  const samples = createSamples(1, 1)
  const measured = createLatencies(1)
  for (const ms of change.acknowledgeMs ?? [1, 2, 3]) measured.acknowledge.record(ms)
  measured.connect[0]?.record(20)
  const counts = createCounts(1)
  const [group] = counts.groups
  if (group) {
    Object.assign(group.connects, { attempts: 10, admitted: 10 })
    group.refusals = change.refusals ?? {}
  }
  counts.traffic[1] = {
    ...noTraffic(),
    sent: 1000,
    acknowledged: 1000,
    received: 1000,
    lost: change.lost ?? 0,
  }
  counts.cpuSeconds = 0.02
  const population = { ...noPopulation(), total: 10, connected: 10 }
  samples.take(0, {
    counts,
    ...takeLatencies(measured),
    populations: [population],
    entitled: [{ awake: 10, connected: 10 }],
    rssBytes: 1e8,
  })
  const none = { wronglyAdmitted: [], wronglyRefused: [], actions: [], checks: [], events: [], limits: [] }
  return summaryOf({
    run,
    endedAt: new Date('2026-01-01T00:00:10.000Z'),
    seconds: 10,
    interrupted: false,
    watched: null,
    enrollment: null,
    samples,
    populations: [population],
    findings: { ...none, troubles: [], ...change.findings },
  })
}
