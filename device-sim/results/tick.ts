// What one worker counted since its last tick, as it travels to the parent, and how ticks add up.
// Plain numbers and records only. Does not know when ticks are sent and what they mean.
import { createHistogram, type Histogram, type HistogramDelta } from './histogram.ts'
import type { Connects, Population, Refusals, Traffic } from './sample.ts'

/** Counts of one group of devices. */
export type GroupCounts = {
  connects: Omit<Connects, 'latencyMs'>
  refusals: Refusals
  failures: Record<string, number>
  drops: Record<string, number>
  wronglyAdmitted: number
  wronglyRefused: number
  unproven: number
}

/** Counts of the whole worker; `traffic` by QoS. */
export type Counts = {
  groups: GroupCounts[]
  traffic: [Traffic, Traffic, Traffic]
  subscriptions: { granted: number; refused: number }
  reasons: Record<string, number>
  answered: number
  cpuSeconds: number
}

/** `tcp`, `tls` and `connack`: the parts of an attempt that was admitted. */
const latencyNames = ['acknowledge', 'deliver', 'late', 'tcp', 'tls', 'connack'] as const
type LatencyName = (typeof latencyNames)[number]

export type Tick = {
  counts: Counts
  /** One for each group. */
  connect: (HistogramDelta | null)[]
  latencies: Record<LatencyName, HistogramDelta | null>
  /** Of each group, at the moment of the tick. */
  populations: Population[]
  entitled: Entitled[]
  rssBytes: number
}

/** Devices that are awake and should be admitted, and those of them that are connected. */
export type Entitled = { awake: number; connected: number }

export type Latencies = Record<LatencyName, Histogram> & { connect: Histogram[] }

export function createCounts(groups: number): Counts {
  return {
    groups: Array.from({ length: groups }, () => ({
      connects: { attempts: 0, admitted: 0, refused: 0, failed: 0, resumed: 0 },
      refusals: {},
      failures: {},
      drops: {},
      wronglyAdmitted: 0,
      wronglyRefused: 0,
      unproven: 0,
    })),
    traffic: [noTraffic(), noTraffic(), noTraffic()],
    subscriptions: { granted: 0, refused: 0 },
    reasons: {},
    answered: 0,
    cpuSeconds: 0,
  }
}

export function createLatencies(groups: number): Latencies {
  return {
    connect: Array.from({ length: groups }, createHistogram),
    ...forEachLatency(createHistogram),
  }
}

export function noTraffic(): Traffic {
  return {
    sent: 0,
    sentBytes: 0,
    acknowledged: 0,
    refused: 0,
    unacknowledged: 0,
    missed: 0,
    received: 0,
    receivedBytes: 0,
    duplicated: 0,
    reordered: 0,
    altered: 0,
    expired: 0,
    lost: 0,
  }
}

export function noPopulation(): Population {
  return { total: 0, connected: 0, connecting: 0, waiting: 0, asleep: 0, idle: 0 }
}

export function noEntitled(): Entitled {
  return { awake: 0, connected: 0 }
}

/** Adds every number of `more` to the one of the same name, also where it is not there yet. */
export function addUp<T>(sum: T, more: T): T {
  const into = sum as Record<string, unknown>
  for (const [name, value] of Object.entries(more as Record<string, unknown>)) {
    if (typeof value === 'number') into[name] = ((into[name] as number | undefined) ?? 0) + value
    else into[name] = addUp(into[name] ?? (Array.isArray(value) ? [] : {}), value)
  }
  return sum
}

export function addLatencies(sum: Latencies, tick: Tick): void {
  for (const [group, delta] of tick.connect.entries()) sum.connect[group]?.add(delta)
  for (const name of latencyNames) sum[name].add(tick.latencies[name])
}

/** Empties `latencies` into what travels. */
export function takeLatencies(latencies: Latencies): Pick<Tick, 'connect' | 'latencies'> {
  return {
    connect: latencies.connect.map(histogram => histogram.take()),
    latencies: forEachLatency(name => latencies[name].take()),
  }
}

export function forEachLatency<Value>(make: (name: LatencyName) => Value): Record<LatencyName, Value> {
  return Object.fromEntries(latencyNames.map(name => [name, make(name)])) as Record<LatencyName, Value>
}
