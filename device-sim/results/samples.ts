// Ticks of many workers in, one sample a second out. Keeps what the whole run adds up to for the summary.
// Knows nothing of processes and clocks: the caller ends each second.
import { createHistogram, type Histogram } from './histogram.ts'
import type { ConnectPhases, Connects, Population, Refusals, Sample, Watched } from './sample.ts'
import {
  addLatencies,
  addUp,
  type Counts,
  createCounts,
  createLatencies,
  type Entitled,
  type Latencies,
  noEntitled,
  noPopulation,
  type Tick,
} from './tick.ts'

/** `watched` gives the use of watched processes in a second of that length. */
type Moment = {
  at: Date
  elapsedSeconds: number
  stage: string
  watched?: (seconds: number) => Watched | null
}

export type Samples = {
  take(worker: number, tick: Tick): void
  /** That worker is dead: its devices are gone, and no longer expected to be connected. */
  bury(worker: number): void
  /** Ends the second and gives its sample. */
  cut(moment: Moment): Sample
  /** The devices of a group that should be connected now, and those that are. */
  entitled(group: number): Entitled
  /** So many refusals of a group were expected after all: in the sum, not in samples that are out. */
  excuse(group: number, saw: string, times: number): void
  /** The sum of all samples. */
  total(): { counts: Counts; latencies: Latencies; populations: Population[]; rssMaxBytes: number }
}

export function createSamples(workers: number, groups: number): Samples {
  const total = { counts: createCounts(groups), latencies: createLatencies(groups) }
  const populations: Population[][] = Array.from({ length: workers }, () => [])
  const entitled: Entitled[][] = Array.from({ length: workers }, () => [])
  const rssBytes: number[] = new Array(workers).fill(0)
  let second = { counts: createCounts(groups), latencies: createLatencies(groups) }
  let cpuSeconds: number[] = new Array(workers).fill(0)
  let rssMaxBytes = 0
  let cutAtSeconds = 0

  return {
    take(worker, tick) {
      for (const sum of [second, total]) {
        addUp(sum.counts, tick.counts)
        addLatencies(sum.latencies, tick)
      }
      populations[worker] = tick.populations
      entitled[worker] = tick.entitled
      rssBytes[worker] = tick.rssBytes
      cpuSeconds[worker] = (cpuSeconds[worker] ?? 0) + tick.counts.cpuSeconds
      rssMaxBytes = Math.max(rssMaxBytes, sumOf(rssBytes))
    },
    bury(worker) {
      const gone = (populations[worker] ?? []).map(({ total: all }) => {
        return { ...noPopulation(), total: all, asleep: all }
      })
      populations[worker] = gone
      entitled[worker] = []
      rssBytes[worker] = 0
    },
    cut({ at, elapsedSeconds, stage, watched }) {
      const { counts, latencies } = second
      const seconds = Math.max(0.001, elapsedSeconds - cutAtSeconds)
      const [qos0, qos1, qos2] = counts.traffic
      const sample: Sample = {
        sample: 1,
        at: at.toISOString(),
        elapsedSeconds: thousandths(elapsedSeconds),
        seconds: thousandths(seconds),
        stage,
        population: populations.flat().reduce(addUp, noPopulation()),
        ...connectsOf(counts, latencies),
        wronglyAdmitted: sumOf(counts.groups.map(group => group.wronglyAdmitted)),
        wronglyRefused: sumOf(counts.groups.map(group => group.wronglyRefused)),
        failures: counts.groups.map(group => group.failures).reduce(addUp, {}),
        drops: counts.groups.map(group => group.drops).reduce(addUp, {}),
        reasons: counts.reasons,
        traffic: { qos0, qos1, qos2 },
        acknowledgeMs: latencies.acknowledge.read(),
        deliverMs: latencies.deliver.read(),
        connectPartsMs: connectPhasesOf(latencies),
        octaves: {
          connect: allConnects(latencies).octaves(),
          acknowledge: latencies.acknowledge.octaves(),
          deliver: latencies.deliver.octaves(),
        },
        tool: {
          // A tick is of a second, also where the last sample is shorter.
          cpuBusiest: thousandths(Math.max(0, ...cpuSeconds) / Math.max(1, seconds)),
          cpuTotal: thousandths(sumOf(cpuSeconds) / Math.max(1, seconds)),
          rssBytes: sumOf(rssBytes),
          lateMs: latencies.late.read(),
        },
        watched: watched?.(seconds) ?? null,
      }
      second = { counts: createCounts(groups), latencies: createLatencies(groups) }
      cpuSeconds = new Array(workers).fill(0)
      cutAtSeconds = elapsedSeconds
      return sample
    },
    entitled: group => entitled.map(worker => worker[group] ?? noEntitled()).reduce(addUp, noEntitled()),
    excuse(group, saw, times) {
      const counts = total.counts.groups[group]
      const refusal = counts?.refusals[saw]
      if (!counts || !refusal) return
      const excused = Math.min(times, refusal.unexpected)
      refusal.unexpected -= excused
      refusal.expected += excused
      counts.wronglyRefused = Math.max(0, counts.wronglyRefused - excused)
    },
    total: () => ({
      ...total,
      populations: Array.from({ length: groups }, (_, group) =>
        populations.map(worker => worker[group] ?? noPopulation()).reduce(addUp, noPopulation()),
      ),
      rssMaxBytes,
    }),
  }
}

/** All groups as one. */
export function connectsOf(counts: Counts, latencies: Latencies): { connects: Connects; refusals: Refusals } {
  const none = { attempts: 0, admitted: 0, refused: 0, failed: 0, resumed: 0 }
  const connects = counts.groups.map(group => group.connects).reduce(addUp, none)
  return {
    connects: { ...connects, latencyMs: allConnects(latencies).read() },
    refusals: counts.groups.map(group => group.refusals).reduce(addUp, {}),
  }
}

function allConnects(latencies: Latencies): Histogram {
  const all = createHistogram()
  for (const histogram of latencies.connect) all.add(histogram.peek())
  return all
}

export function connectPhasesOf({ tcp, tls, connack }: Latencies): ConnectPhases {
  return { tcp: tcp.read(), tls: tls.read(), connack: connack.read() }
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}

function thousandths(value: number): number {
  return Math.round(value * 1000) / 1000
}
