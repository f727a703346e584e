// Latencies as counts per bucket, so that many workers' histograms add up to one without losing their tails.
// Log-linear: 64 buckets an octave, an error of at most 0.8 % of the value. Kept beside hdr-histogram-js, which took 1.2 to 1.8 times
// the CPU for a value and 3 to 6 times for a tick between processes. Does not know what was measured.
import type { Percentiles } from './sample.ts'

/** Its form between processes: bucket, count, bucket, count …, and the exact sum, minimum and maximum. */
export type HistogramDelta = { buckets: number[]; sumMs: number; minMs: number; maxMs: number }

export type Histogram = {
  record(ms: number): void
  add(delta: HistogramDelta | null): void
  read(): Percentiles
  /** How many values are below 64 µs, from there below 128 µs, below 256 µs …, up to the highest. */
  octaves(): number[]
  /** All recorded values, or null; the histogram keeps them. */
  peek(): HistogramDelta | null
  /** The values since the last call, or null; the histogram is empty afterwards. */
  take(): HistogramDelta | null
}

const SUB_BITS = 6
const SUB = 2 ** SUB_BITS
/** An hour in microseconds; longer values count as an hour. */
const HIGHEST_US = 3_600_000_000
const BUCKETS = bucketOf(HIGHEST_US) + 1

export function createHistogram(): Histogram {
  let counts: Uint32Array | null = null
  let count = 0
  let sumMs = 0
  let minMs = Number.POSITIVE_INFINITY
  let maxMs = 0

  function grown(): Uint32Array {
    counts ??= new Uint32Array(BUCKETS)
    return counts
  }

  function at(percent: number): number | null {
    if (!counts || count === 0) return null
    let left = Math.max(1, Math.ceil((count * percent) / 100))
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= counts[bucket] as number
      if (left <= 0) return rounded(Math.min(maxMs, Math.max(minMs, middleMs(bucket))))
    }
    return rounded(maxMs)
  }

  function peek(): HistogramDelta | null {
    if (!counts || count === 0) return null
    const buckets: number[] = []
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if (counts[bucket]) buckets.push(bucket, counts[bucket] as number)
    }
    return { buckets, sumMs, minMs, maxMs }
  }

  return {
    peek,
    octaves() {
      const octaves: number[] = []
      if (!counts || count === 0) return octaves
      for (let bucket = 0; bucket < BUCKETS; bucket++) {
        const times = counts[bucket] as number
        if (times === 0) continue
        const octave = Math.floor(bucket / SUB)
        while (octaves.length <= octave) octaves.push(0)
        octaves[octave] = (octaves[octave] as number) + times
      }
      return octaves
    },
    record(ms) {
      const known = Math.max(0, ms)
      const bucket = bucketOf(Math.min(HIGHEST_US, Math.round(known * 1000)))
      const all = grown()
      all[bucket] = (all[bucket] as number) + 1
      count++
      sumMs += known
      if (known < minMs) minMs = known
      if (known > maxMs) maxMs = known
    },
    add(delta) {
      if (!delta) return
      const all = grown()
      for (let index = 0; index < delta.buckets.length; index += 2) {
        const bucket = delta.buckets[index] as number
        const more = delta.buckets[index + 1] as number
        all[bucket] = (all[bucket] as number) + more
        count += more
      }
      sumMs += delta.sumMs
      minMs = Math.min(minMs, delta.minMs)
      maxMs = Math.max(maxMs, delta.maxMs)
    },
    read() {
      const none = count === 0
      return {
        count,
        min: none ? null : rounded(minMs),
        mean: none ? null : rounded(sumMs / count),
        p50: at(50),
        p90: at(90),
        p95: at(95),
        p99: at(99),
        max: none ? null : rounded(maxMs),
      }
    },
    take() {
      const delta = peek()
      counts?.fill(0)
      count = 0
      sumMs = 0
      minMs = Number.POSITIVE_INFINITY
      maxMs = 0
      return delta
    },
  }
}

/** The first 64 are a microsecond wide; from there on each octave has 64. */
function bucketOf(us: number): number {
  if (us < SUB) return us
  const octave = 31 - Math.clz32(us) - SUB_BITS
  return (octave + 1) * SUB + (Math.floor(us / 2 ** octave) - SUB)
}

function middleMs(bucket: number): number {
  if (bucket < SUB) return bucket / 1000
  const octave = Math.floor(bucket / SUB) - 1
  return (((bucket % SUB) + SUB + 0.5) * 2 ** octave) / 1000
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
