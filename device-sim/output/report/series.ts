// The samples of a run, however long it is, in a bounded number of points. Where two seconds become one point, counts
// add up and latencies keep the worse of both: a bad second never disappears. Does not know how they are drawn.
import type { Percentiles, Sample } from '../../results/sample.ts'
import { addUp } from '../../results/tick.ts'

export type Series = { add(sample: Sample): void; points(): readonly Sample[] }

/** The last point is drawn by itself only if it is nearly as long as the others: a count of a second must not stand for less. */
const WHOLE = 0.9

/** An hour and some more of single seconds. */
const POINTS_MAX = 4_000

export function createSeries(pointsMax = POINTS_MAX): Series {
  let points: Sample[] = []
  /** How many samples make a point, and how many the last one holds. */
  let width = 1
  let filled = 0
  return {
    add(sample) {
      const last = points.at(-1)
      if (last && filled < width) {
        points[points.length - 1] = joined(last, sample)
        filled++
        return
      }
      if (points.length >= pointsMax) {
        points = points.flatMap((point, index) => {
          if (index % 2 === 1) return []
          const next = points[index + 1]
          return [next ? joined(point, next) : point]
        })
        width *= 2
      }
      points.push(sample)
      filled = 1
    },
    points() {
      const [previous, last] = points.slice(-2)
      // What is left over at the end is too short for a rate.
      const leftOver = previous && last && last.seconds < previous.seconds * WHOLE
      return leftOver ? [...points.slice(0, -2), joined(previous, last)] : points
    },
  }
}

/** Two neighbours as one sample. Its population is that of the moment with fewer connected. */
export function joined(a: Sample, b: Sample): Sample {
  const sum = <Counts extends object>(of: (sample: Sample) => Counts): Counts =>
    addUp(addUp({} as Counts, of(a)), of(b))
  const { latencyMs: _a, ...connectsA } = a.connects
  const { latencyMs: _b, ...connectsB } = b.connects
  return {
    ...b,
    seconds: a.seconds + b.seconds,
    population: a.population.connected < b.population.connected ? a.population : b.population,
    connects: {
      ...addUp({ ...connectsA }, connectsB),
      latencyMs: worse(a.connects.latencyMs, b.connects.latencyMs),
    },
    refusals: sum(sample => sample.refusals),
    wronglyAdmitted: a.wronglyAdmitted + b.wronglyAdmitted,
    wronglyRefused: a.wronglyRefused + b.wronglyRefused,
    failures: sum(sample => sample.failures),
    drops: sum(sample => sample.drops),
    reasons: sum(sample => sample.reasons),
    traffic: sum(sample => sample.traffic),
    acknowledgeMs: worse(a.acknowledgeMs, b.acknowledgeMs),
    deliverMs: worse(a.deliverMs, b.deliverMs),
    connectPartsMs: {
      tcp: worse(a.connectPartsMs.tcp, b.connectPartsMs.tcp),
      tls: worse(a.connectPartsMs.tls, b.connectPartsMs.tls),
      connack: worse(a.connectPartsMs.connack, b.connectPartsMs.connack),
    },
    octaves: sum(sample => sample.octaves),
    tool: {
      cpuBusiest: Math.max(a.tool.cpuBusiest, b.tool.cpuBusiest),
      cpuTotal: Math.max(a.tool.cpuTotal, b.tool.cpuTotal),
      rssBytes: Math.max(a.tool.rssBytes, b.tool.rssBytes),
      lateMs: worse(a.tool.lateMs, b.tool.lateMs),
    },
    watched:
      a.watched && b.watched
        ? {
            cpu: Math.max(a.watched.cpu, b.watched.cpu),
            rssBytes: Math.max(a.watched.rssBytes, b.watched.rssBytes),
          }
        : (a.watched ?? b.watched),
  }
}

/** Percentiles of two seconds cannot be added: the higher of both is kept, which is never below the true one. */
function worse(a: Percentiles, b: Percentiles): Percentiles {
  if (a.count === 0) return b
  if (b.count === 0) return a
  const count = a.count + b.count
  const higher = (of: 'p50' | 'p90' | 'p95' | 'p99' | 'max'): number => Math.max(a[of] ?? 0, b[of] ?? 0)
  return {
    count,
    min: Math.min(a.min ?? 0, b.min ?? 0),
    mean: ((a.mean ?? 0) * a.count + (b.mean ?? 0) * b.count) / count,
    p50: higher('p50'),
    p90: higher('p90'),
    p95: higher('p95'),
    p99: higher('p99'),
    max: higher('max'),
  }
}
