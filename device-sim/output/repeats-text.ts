// Repeated runs as text: each metric as its mean, how sure that is, and its extremes. Does not know how anything was measured.
import { intervalOf } from '../results/intervals.ts'
import type { Repeats } from '../results/summary.ts'
import { metrics } from './compared-metrics.ts'
import { measure, plain, verdictWord } from './figures.ts'

export function repeatsText({ runs }: Repeats): string {
  const [first] = runs
  if (!first) return ''
  const rows = metrics.flatMap(({ metric, unit, of }) => {
    const values = runs.map(of).filter(value => value !== null)
    if (values.length === 0 || values.every(value => value === 0)) return []
    const { mean, halfWidth } = intervalOf(values)
    return [
      [
        metric,
        measure(mean, unit),
        halfWidth === null ? '' : `± ${measure(halfWidth, unit)}`,
        `${measure(Math.min(...values), unit)} to ${measure(Math.max(...values), unit)}`,
      ],
    ]
  })
  const widths = [0, 1, 2].map(column => Math.max(0, ...rows.map(row => row[column]?.length ?? 0)))
  const lines = rows.map(row =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
    ),
  )
  const verdicts = runs.map(({ verdict }) => verdictWord(verdict.exitCode))
  return [
    `${plain(first.run.name)}: ${runs.length} runs against ${plain(first.run.broker)}; mean, interval of 95 %, extremes`,
    ...lines.map(cells => `  ${cells.join('  ')}`),
    `  verdicts: ${verdicts.join(', ')}`,
    '',
  ].join('\n')
}
