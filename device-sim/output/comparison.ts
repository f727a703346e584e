// Two summaries side by side: which metric got better or worse, which promise is no longer kept, and whether the two
// runs may be compared at all. Pure. Does not know files and terminals.
import { differenceOf, type Interval, intervalOf } from '../results/intervals.ts'
import type { Summary } from '../results/summary.ts'
import { type Metric, metrics } from './compared-metrics.ts'
import { plain, protocolText, type Unit } from './figures.ts'
import { runtimesOf } from './runtimes.ts'

export type Change = 'same' | 'better' | 'worse' | 'other' | 'unknown'

export type Row = {
  metric: string
  unit: Unit
  a: number | null
  b: number | null
  /** Of repeated runs: `a` and `b` are their means, and these how sure they are. */
  intervals: { a: Interval; b: Interval; difference: Interval } | null
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

/** Below these, single runs of the same thing differ by themselves. */
const SAME_RATIO = 0.05
const SAME_MS = 1

/** Of one run or of repeated ones. `worseMax`: a metric that got worse by more than this share of `a` is a breach; null lets metrics be. */
export function compare(
  ofA: Summary | readonly Summary[],
  ofB: Summary | readonly Summary[],
  worseMax: number | null,
): Comparison {
  const [a, b] = [runsOf(ofA), runsOf(ofB)]
  const rows = metrics.map(metric => rowOf(metric, a, b))
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

function runsOf(of: Summary | readonly Summary[]): readonly Summary[] {
  return Array.isArray(of) ? of : [of as Summary]
}

function rowOf(
  { metric, unit, best, of }: Metric,
  runsA: readonly Summary[],
  runsB: readonly Summary[],
): Row {
  const measured = (runs: readonly Summary[]): number[] => runs.map(of).filter(value => value !== null)
  const [valuesA, valuesB] = [measured(runsA), measured(runsB)]
  // What must not happen at all is worse where it happened once.
  const one = (values: readonly number[]): number | null => {
    if (values.length === 0) return null
    return best === 'exact' ? Math.max(...values) : intervalOf(values).mean
  }
  const [a, b] = [one(valuesA), one(valuesB)]
  const ratio = a === null || b === null || a === 0 ? null : b / a
  const difference = best === 'exact' ? null : differenceOf(valuesA, valuesB)
  const intervals = difference && { a: intervalOf(valuesA), b: intervalOf(valuesB), difference }
  const within = difference === null ? near(best, unit, a, b) : isNoise(difference)
  return { metric, unit, a, b, intervals, ratio, change: changeOf(best, within, a, b) }
}

/** Repeated runs differ so much by themselves. */
function isNoise({ mean, halfWidth }: Interval): boolean {
  return Math.abs(mean) <= (halfWidth ?? 0)
}

/** Single runs of the same thing differ so much by themselves, as far as one can guess. */
function near(best: Metric['best'], unit: Unit, a: number | null, b: number | null): boolean {
  if (a === null || b === null || best === 'exact') return false
  const difference = Math.abs(b - a)
  return difference <= a * SAME_RATIO || (unit === 'ms' && difference <= SAME_MS)
}

function changeOf(best: Metric['best'], within: boolean, a: number | null, b: number | null): Change {
  if (a === null || b === null) return a === b ? 'same' : 'unknown'
  if (a === b || within) return 'same'
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

/** Of repeated runs a promise is kept where each of them keeps it. */
function checksOf(a: readonly Summary[], b: readonly Summary[]): CheckRow[] {
  const madeIn = (runs: readonly Summary[]) => runs.flatMap(({ checks }) => checks)
  const kept = (runs: readonly Summary[], expression: string): boolean | null => {
    const found = madeIn(runs).filter(check => plain(check.expression) === expression)
    return found.length === 0 ? null : found.every(check => check.passed)
  }
  const all = new Set([...madeIn(a), ...madeIn(b)].map(({ expression }) => plain(expression)))
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

function notesOf(runsA: readonly Summary[], runsB: readonly Summary[]): string[] {
  const notes: string[] = []
  const [a, b] = [runsA[0] as Summary, runsB[0] as Summary]
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
  differ('runtimes of workers', ({ run }) => runtimesOf(run).join(' and '))
  if (Math.abs(a.seconds - b.seconds) > a.seconds * SAME_RATIO) {
    notes.push(`lengths differ: ${Math.round(a.seconds)} s and ${Math.round(b.seconds)} s`)
  }
  for (const [name, runs] of Object.entries({ a: runsA, b: runsB })) {
    for (const [index, summary] of runs.entries()) {
      const run = runs.length === 1 ? name : `${name}, run ${index + 1},`
      if (summary.interrupted) notes.push(`${run} was interrupted`)
      for (const { text, seconds } of summary.limits) {
        notes.push(`${run} reached a limit of the simulator for ${seconds} s: ${plain(text)}`)
      }
    }
  }
  return notes
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}
