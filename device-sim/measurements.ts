// Counters and histograms of one run. Everything in it is what devices saw; judging it is verdict.ts's work.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/** Milliseconds. Null members where nothing was recorded. */
export type Percentiles = {
  count: number
  min: number | null
  mean: number | null
  p50: number | null
  p95: number | null
  p99: number | null
  max: number | null
}

export type Latency = { record(ms: number): void; read(): Percentiles }

export type Measurements = {
  attempts: number
  /** Every attempt's end, by `nameOf(seen)`. */
  outcomes: Map<string, number>
  /** First admission of a device, and later ones. */
  admitted: number
  readmitted: number
  connectedNow: number
  /** Sessions that ended without us wanting it, by cause. */
  dropped: Map<string, number>
  published: number
  acknowledged: number
  /** Sent at QoS 1 or 2 and never acknowledged. */
  lost: number
  /** Due, but not sent: the device was offline or had too much in flight. */
  missed: number
  /** Sent and not answered yet. */
  inFlight: number
  subscribed: number
  subscribeRefused: number
  commandsReceived: number
  /** From the time the attempt was due to CONNACK 0. */
  connectLatency: Latency
  /** From the time the message was due to its acknowledgement. */
  publishLatency: Latency
  /** From the time the message was due to handing it to the socket: our own lateness. */
  sendLag: Latency
}

export function createMeasurements(): Measurements {
  return {
    attempts: 0,
    outcomes: new Map(),
    admitted: 0,
    readmitted: 0,
    connectedNow: 0,
    dropped: new Map(),
    published: 0,
    acknowledged: 0,
    lost: 0,
    missed: 0,
    inFlight: 0,
    subscribed: 0,
    subscribeRefused: 0,
    commandsReceived: 0,
    connectLatency: createLatency(),
    publishLatency: createLatency(),
    sendLag: createLatency(),
  }
}

export function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

/** A histogram in microseconds, three digits, up to an hour; read in milliseconds. */
export function createLatency(): Latency {
  const highest = 3_600_000_000
  const histogram: RecordableHistogram = createHistogram({ lowest: 1, highest, figures: 3 })
  const ms = (us: number): number => Math.round(us) / 1000
  return {
    record(value) {
      histogram.record(Math.min(highest, Math.max(1, Math.round(value * 1000))))
    },
    read() {
      if (histogram.count === 0) {
        return { count: 0, min: null, mean: null, p50: null, p95: null, p99: null, max: null }
      }
      return {
        count: histogram.count,
        min: ms(histogram.min),
        mean: ms(histogram.mean),
        p50: ms(histogram.percentile(50)),
        p95: ms(histogram.percentile(95)),
        p99: ms(histogram.percentile(99)),
        max: ms(histogram.max),
      }
    },
  }
}
