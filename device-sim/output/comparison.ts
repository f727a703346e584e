// Two summaries side by side: which metric got better or worse, which promise is no longer kept, and whether the two
// runs may be compared at all. Pure. Does not know files and terminals.
import type { Percentiles, Traffic } from '../results/sample.ts'
import type { Summary } from '../results/summary.ts'
import { plain, protocolText } from './figures.ts'

export type Unit = 'count' | 'rate' | 'share' | 'ms' | 'µs' | 'bytes'
export type Change = 'same' | 'better' | 'worse' | 'other' | 'unknown'

export type Row = {
  metric: string
  unit: Unit
  a: number | null
  b: number | null
  /** b / a; null where that says nothing. */
  ratio: number | null
  change: Change
}

/** Null where a run did not make that promise. */
type CheckRow = { expression: string; a: boolean | null; b: boolean | null; change: Change }

export type Comparison = {
  comparison: 'rollcall-sim-compare'
  version: 1
  /** Why the two runs are not of the same kind, or their numbers doubtful. */
  notes: string[]
  metrics: Row[]
  checks: CheckRow[]
  /** Reasons for exit code 99. */
  breaches: string[]
  exitCode: 0 | 99
}

type Metric = {
  metric: string
  unit: Unit
  /** `exact`: lower is better, and one more is worse whatever the ratio. */
  best: 'lower' | 'higher' | 'exact' | 'neither'
  of: (summary: Summary) => number | null
}

/** Below these, runs of the same thing differ by themselves. */
const SAME_RATIO = 0.05
const SAME_MS = 1

const points = ['p50', 'p95', 'p99', 'max'] as const

const metrics: readonly Metric[] = [
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
  { metric: 'simulator memory', unit: 'bytes', best: 'neither', of: ({ tool }) => tool.rssMaxBytes },
]

/** `worseMax`: a metric that got worse by more than this share of `a` is a breach; null lets metrics be. */
export function compare(a: Summary, b: Summary, worseMax: number | null): Comparison {
  const rows = metrics.map(metric => rowOf(metric, metric.of(a), metric.of(b)))
  const checks = checksOf(a, b)
  const breaches = [
    ...checks
      .filter(check => check.change === 'worse')
      .map(({ expression }) => `${expression} is no longer kept`),
    ...rows.flatMap((row, index) => breachOf(row, metrics[index] as Metric, worseMax)),
  ]
  return {
    comparison: 'rollcall-sim-compare',
    version: 1,
    notes: notesOf(a, b),
    metrics: rows.filter(row => row.a !== null || row.b !== null),
    checks,
    breaches,
    exitCode: breaches.length > 0 ? 99 : 0,
  }
}

function rowOf({ metric, unit, best }: Metric, a: number | null, b: number | null): Row {
  const ratio = a === null || b === null || a === 0 ? null : b / a
  return { metric, unit, a, b, ratio, change: changeOf(best, unit, a, b) }
}

function changeOf(best: Metric['best'], unit: Unit, a: number | null, b: number | null): Change {
  if (a === null || b === null) return a === b ? 'same' : 'unknown'
  const difference = Math.abs(b - a)
  if (difference === 0) return 'same'
  if (best !== 'exact' && (difference <= a * SAME_RATIO || (unit === 'ms' && difference <= SAME_MS)))
    return 'same'
  if (best === 'neither') return 'other'
  return b < a === (best !== 'higher') ? 'better' : 'worse'
}

function breachOf(row: Row, { best }: Metric, worseMax: number | null): string[] {
  if (row.change !== 'worse' || row.a === null || row.b === null) return []
  if (best === 'exact') return [`${row.metric}: ${row.b} instead of ${row.a}`]
  if (worseMax === null) return []
  const worse = Math.abs(row.b - row.a) / row.a
  if (worse <= worseMax) return []
  const by = Number.isFinite(worse) ? `worse by ${Math.round(worse * 100)} %` : 'worse, from nothing'
  return [`${row.metric}: ${by}`]
}

function checksOf(a: Summary, b: Summary): CheckRow[] {
  const kept = ({ checks }: Summary, expression: string): boolean | null => {
    const found = checks.filter(check => plain(check.expression) === expression)
    return found.length === 0 ? null : found.every(check => check.passed)
  }
  const all = new Set([...a.checks, ...b.checks].map(({ expression }) => plain(expression)))
  return [...all].map(expression => {
    const before = kept(a, expression)
    const after = kept(b, expression)
    const worse = after === false && before !== false
    const change = worse
      ? 'worse'
      : before === after
        ? 'same'
        : after === null || before === null
          ? 'unknown'
          : 'better'
    return { expression, a: before, b: after, change }
  })
}

function notesOf(a: Summary, b: Summary): string[] {
  const notes: string[] = []
  const differ = (what: string, of: (summary: Summary) => string | number): void => {
    if (of(a) !== of(b)) notes.push(`${what} differ: ${plain(String(of(a)))} and ${plain(String(of(b)))}`)
  }
  differ('scenarios', ({ run }) => run.name)
  differ('devices', ({ run }) => sumOf(run.groups.map(group => group.count)))
  differ('seeds', ({ run }) => run.seed)
  differ('brokers', ({ run }) => run.broker)
  differ('links', ({ run }) => [...new Set(run.groups.map(group => group.link))].join(' and '))
  differ('MQTT versions', ({ run }) =>
    [...new Set(run.groups.map(group => protocolText(group.protocol)))].join(' and '),
  )
  differ('CPUs', ({ run }) => run.tool.cpus)
  differ('versions of rollcall', ({ run }) => run.tool.version)
  differ('versions of Node', ({ run }) => run.tool.node)
  if (Math.abs(a.seconds - b.seconds) > a.seconds * SAME_RATIO) {
    notes.push(`lengths differ: ${Math.round(a.seconds)} s and ${Math.round(b.seconds)} s`)
  }
  for (const [name, summary] of Object.entries({ a, b })) {
    if (summary.interrupted) notes.push(`${name} was interrupted`)
    for (const { text, seconds } of summary.limits) {
      notes.push(`${name} reached a limit of the simulator for ${seconds} s: ${plain(text)}`)
    }
  }
  return notes
}

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
