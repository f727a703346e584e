// `sim compare` as a function: two files of `sim run --json` in, with `--repeat` or not, a table or JSON out, an exit code.
// Never throws for what a user can cause.
import { readFileSync, statSync } from 'node:fs'
import { styleText } from 'node:util'
import type { CommandContext, ExitCode } from './command-context.ts'
import { BadUsage } from './failure.ts'
import { type Change, type Comparison, compare } from './output/comparison.ts'
import { measure, plain, type Unit } from './output/figures.ts'
import type { Interval } from './results/intervals.ts'
import type { Repeats, Summary } from './results/summary.ts'
import { guarded } from './scenario-run.ts'

export type CompareFlags = { maxWorse?: string; output?: string }

/** A summary names at most a few hundred devices, groups and events. */
const BYTES_MAX = 64 * 1024 * 1024

export async function runComparison(
  fileA: string,
  fileB: string,
  flags: CompareFlags,
  context: CommandContext,
): Promise<ExitCode> {
  return guarded(context, async () => {
    const comparison = compare(readRuns(fileA), readRuns(fileB), shareOf(flags.maxWorse))
    context.stdout.write(
      flags.output === 'json'
        ? `${JSON.stringify(comparison)}\n`
        : table(comparison, [fileA, fileB], context.stdout),
    )
    return comparison.exitCode
  })
}

/** @throws BadUsage where the file is no summary of a run or of repeated ones. */
function readRuns(file: string): Summary[] {
  const wrong = (what: string): BadUsage => new BadUsage([`${file}: ${what}`])
  const size = statSync(file, { throwIfNoEntry: false })?.size
  if (size === undefined) throw wrong('there is no such file')
  if (size > BYTES_MAX) throw wrong('too large for a summary')
  let read: unknown
  try {
    read = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw wrong(`expected the JSON that sim run --json writes (${(error as Error).message})`)
  }
  const repeats = (read ?? {}) as Partial<Repeats>
  const runs: unknown = repeats.summary === 'rollcall-sim-repeats' ? repeats.runs : [read]
  if (!Array.isArray(runs) || runs.length === 0) throw wrong('expected a summary that sim run --json wrote')
  for (const run of runs) {
    const { summary, version } = (run ?? {}) as Partial<Record<'summary' | 'version', unknown>>
    if (summary !== 'rollcall-sim-run') throw wrong('expected a summary that sim run --json wrote')
    if (version !== 1) throw wrong(`expected version 1 of the summary, got ${JSON.stringify(version)}`)
  }
  try {
    // What is missing shows when it is used; compared with itself a whole one uses everything.
    compare(runs as Summary[], runs as Summary[], null)
  } catch (error) {
    throw wrong(`the summary is not whole (${(error as Error).message})`)
  }
  return runs as Summary[]
}

function shareOf(text: string | undefined): number | null {
  if (text === undefined) return null
  const share = /^(\d{1,6}(?:\.\d+)?)%$/.exec(text)?.[1]
  if (share === undefined)
    throw new BadUsage([`--max-worse: expected a share such as 20%, got ${JSON.stringify(text)}`])
  return Number(share) / 100
}

function table(
  { notes, metrics, checks, breaches }: Comparison,
  files: [string, string],
  stream: NodeJS.WriteStream,
): string {
  const paint = (style: 'bold' | 'dim' | 'red' | 'green', text: string): string =>
    styleText(style, text, { stream })
  const painted = (change: Change, text: string): string => {
    if (change === 'worse') return paint('red', text)
    return change === 'better' ? paint('green', text) : text
  }
  const promise = (kept: boolean | null): string => (kept === null ? '–' : kept ? 'kept' : 'breached')
  const cells = [
    { cells: ['', 'a', 'b', 'b/a', ''], change: 'same' as Change },
    ...metrics.map(({ metric, unit, a, b, intervals, ratio, change }) => {
      const words = change === 'better' || change === 'worse' ? change : ''
      // Where a difference is smaller than its interval, repeated runs show as much by themselves.
      const noise = intervals && intervals.difference.mean !== 0 && change === 'same' ? 'noise' : words
      const [ofA, ofB] = [sure(a, unit, intervals?.a), sure(b, unit, intervals?.b)]
      return {
        cells: [metric, ofA, ofB, ratio === null ? '' : ratio.toFixed(2), noise],
        change,
      }
    }),
    ...checks.map(({ expression, a, b, change }) => {
      const words = change === 'better' || change === 'worse' ? change : ''
      return { cells: [expression, promise(a), promise(b), '', words], change }
    }),
  ]
  const widths = [0, 1, 2, 3, 4].map(column => Math.max(...cells.map(row => row.cells[column]?.length ?? 0)))
  const lines = cells.map(({ cells: [name = '', ...rest], change }) => {
    const columns = rest.map((cell, index) => (index === 3 ? cell : cell.padStart(widths[index + 1] ?? 0)))
    return painted(change, [name.padEnd(widths[0] ?? 0), ...columns].join('  ').trimEnd())
  })
  return [
    ...['a', 'b'].map((name, index) => `${name}  ${plain(files[index] ?? '')}`),
    ...notes.map(note => paint('dim', `   ${note}`)),
    '',
    paint('bold', lines[0] ?? ''),
    ...lines.slice(1),
    '',
    ...(breaches.length > 0
      ? breaches.map(breach => `${paint('red', '✗')} ${breach}`)
      : [paint('green', 'nothing that must hold got worse')]),
    '',
  ].join('\n')
}

/** A mean with the half of its interval of 95 %. */
function sure(value: number | null, unit: Unit, interval: Interval | undefined): string {
  const { halfWidth = null } = interval ?? {}
  return halfWidth === null ? measure(value, unit) : `${measure(value, unit)} ± ${measure(halfWidth, unit)}`
}
