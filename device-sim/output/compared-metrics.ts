// The metrics of a run that `sim compare` and repeated runs show, and which way is better. Pure.
import type { Percentiles, Traffic } from '../results/sample.ts'
import type { Summary } from '../results/summary.ts'
import type { Unit } from './figures.ts'

export type Metric = {
  metric: string
  unit: Unit
  /** `exact`: lower is better, and one more is worse whatever the ratio. */
  best: 'lower' | 'higher' | 'exact' | 'neither'
  of: (summary: Summary) => number | null
}

const points = ['p50', 'p95', 'p99', 'max'] as const

export const metrics: readonly Metric[] = [
  {
    metric: 'wrongly admitted',
    unit: 'count',
    best: 'exact',
    of: ({ wronglyAdmitted }) => wronglyAdmitted.count,
  },
  {
    metric: 'wrongly refused',
    unit: 'count',
    best: 'exact',
    of: ({ wronglyRefused }) => wronglyRefused.count,
  },
  { metric: 'lost', unit: 'count', best: 'exact', of: traffic('lost') },
  {
    metric: 'kept after an action',
    unit: 'count',
    best: 'exact',
    of: ({ actions }) => sumOf(actions.map(one => one.kept)),
  },
  { metric: 'duplicated', unit: 'count', best: 'lower', of: traffic('duplicated') },
  { metric: 'reordered', unit: 'count', best: 'lower', of: traffic('reordered') },
  { metric: 'unacknowledged', unit: 'count', best: 'lower', of: traffic('unacknowledged') },
  { metric: 'altered', unit: 'count', best: 'exact', of: traffic('altered') },
  { metric: 'expired', unit: 'count', best: 'exact', of: traffic('expired') },
  { metric: 'refused messages', unit: 'count', best: 'lower', of: traffic('refused') },
  { metric: 'missed', unit: 'count', best: 'lower', of: traffic('missed') },
  { metric: 'failed connects', unit: 'count', best: 'lower', of: ({ connects }) => connects.failed },
  { metric: 'drops', unit: 'count', best: 'lower', of: ({ drops }) => sumOf(Object.values(drops)) },
  {
    metric: 'connected at end',
    unit: 'share',
    best: 'higher',
    of: ({ population }) => share(population.connected, population.total),
  },
  { metric: 'admitted', unit: 'count', best: 'neither', of: ({ connects }) => connects.admitted },
  { metric: 'refused', unit: 'count', best: 'neither', of: ({ connects }) => connects.refused },
  { metric: 'sent per second', unit: 'rate', best: 'neither', of: perSecond('sent') },
  { metric: 'received per second', unit: 'rate', best: 'neither', of: perSecond('received') },
  ...latency('connect', ({ connects }) => connects.latencyMs),
  ...latency('acknowledge', ({ acknowledgeMs }) => acknowledgeMs),
  ...latency('deliver', ({ deliverMs }) => deliverMs),
  {
    metric: 'cut max',
    unit: 'ms',
    best: 'lower',
    of: ({ actions }) => highest(actions.map(({ cutMs }) => cutMs.max)),
  },
  { metric: 'simulator late p99', unit: 'ms', best: 'neither', of: ({ tool }) => tool.lateMs.p99 },
  {
    metric: 'simulator CPU per message',
    unit: 'µs',
    best: 'neither',
    of: ({ tool }) => tool.cpuMicrosPerMessage,
  },
  {
    metric: 'watched CPU per message',
    unit: 'µs',
    best: 'lower',
    of: ({ watched }) => watched?.cpuMicrosPerMessage ?? null,
  },
  {
    metric: 'watched memory',
    unit: 'bytes',
    best: 'lower',
    of: ({ watched }) => watched?.rssMaxBytes ?? null,
  },
  { metric: 'simulator memory', unit: 'bytes', best: 'neither', of: ({ tool }) => tool.rssMaxBytes },
]

function traffic(name: keyof Traffic): Metric['of'] {
  // Summaries of earlier versions lack what only MQTT 5 counts.
  return summary => sumOf(Object.values(summary.traffic).map(one => one[name] ?? 0))
}

function perSecond(name: keyof Traffic): Metric['of'] {
  return summary => (summary.seconds > 0 ? (traffic(name)(summary) ?? 0) / summary.seconds : null)
}

/** One message makes the maximum, so it is shown and nothing is concluded from it. */
function latency(name: string, of: (summary: Summary) => Percentiles): Metric[] {
  return points.map(point => ({
    metric: `${name} ${point}`,
    unit: 'ms',
    best: point === 'max' ? 'neither' : 'lower',
    of: summary => of(summary)[point],
  }))
}

function share(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole
}

function highest(values: readonly (number | null)[]): number | null {
  const known = values.filter(value => value !== null)
  return known.length === 0 ? null : Math.max(...known)
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}
