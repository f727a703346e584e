// The state that all devices of one worker share: clock, counts, delivery tracker, findings. No behaviour.

import type { Attempt, LinkOptions } from '../links/session.ts'
import type { SourcePorts } from '../links/source-ports.ts'
import type { Counts, Latencies } from '../results/tick.ts'
import type { Schedule } from '../schedule.ts'
import type { Broker } from '../target.ts'
import type { DeliveryTracker } from './delivery-tracker.ts'

export type WorkerContext = {
  runId: string
  seed: number
  broker: Broker
  /** Null where no group has this link. */
  openMqttJs: ((options: LinkOptions) => Attempt) | null
  schedule: Schedule
  /** Messages of the whole fleet in a millisecond, by the plan. */
  beatsPerMs: number
  connectTimeoutMs: number
  graceMs: number
  sources: readonly string[]
  /** Null where the kernel gives local ports. */
  ports: SourcePorts | null
  counts: Counts
  latencies: Latencies
  deliveries: DeliveryTracker
  /** Ended devices neither publish nor come back. */
  ending: boolean
  findings: Findings
  lastArrivalAt: number
  /** A number for a new stream, of which no other worker has one. */
  nextStream(): number
}

/** Named findings of this second, for the parent; bounded by `FINDINGS_MAX`. */
export type Findings = {
  admitted: { device: string; group: string; how: 'admitted' | 'kept'; why: string; at: number }[]
  refused: { device: string; group: string; saw: string }[]
  /** Of an operator's action: how long until the session was cut, or that it was kept. */
  cuts: { action: number; ms: number }[]
  kept: { action: number }[]
}

const FINDINGS_MAX = 1_000

export function noFindings(): Findings {
  return { admitted: [], refused: [], cuts: [], kept: [] }
}

export function addFinding<T>(list: T[], finding: T): void {
  if (list.length < FINDINGS_MAX) list.push(finding)
}
