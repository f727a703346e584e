// A run as Markdown for the summary page of a GitHub Actions job. Pure.
import type { Summary } from '../results/summary.ts'
import { byteRate, count, duration, measuredText, plain, verdictWord } from './figures.ts'

export function githubSummary(summary: Summary): string {
  const { run, verdict, connects, traffic, seconds, checks, acknowledgeMs, deliverMs, population } = summary
  const sum = (of: 'sent' | 'received' | 'lost' | 'sentBytes'): number =>
    Object.values(traffic).reduce((all, one) => all + one[of], 0)
  const rows: [string, string][] = [
    ['devices', `${count(population.total)}, ${count(population.connected)} connected at the end`],
    [
      'connects',
      `${count(connects.admitted)} admitted, ${count(connects.refused)} refused, ${count(connects.failed)} failed`,
    ],
    [
      'messages',
      `${count(sum('sent'))} sent (${byteRate(sum('sentBytes'), seconds)}), ${count(sum('received'))} received, ${count(sum('lost'))} lost`,
    ],
    ['connect p50, p99', `${duration(connects.latencyMs.p50)}, ${duration(connects.latencyMs.p99)}`],
    ['acknowledge p50, p99', `${duration(acknowledgeMs.p50)}, ${duration(acknowledgeMs.p99)}`],
    ['deliver p50, p99', `${duration(deliverMs.p50)}, ${duration(deliverMs.p99)}`],
    ...checks.map(({ expression, observed, passed }): [string, string] => [
      `${passed ? '✓' : '✗'} ${expression}`,
      measuredText(expression, observed),
    ]),
  ]
  return [
    `### ${cell(run.name)}: ${verdictWord(verdict.exitCode)}`,
    '',
    `${cell(run.broker)}, ${Math.round(seconds)} s`,
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name, value]) => `| ${cell(name)} | ${cell(value)} |`),
    '',
    ...verdict.breaches.map(breach => `- ${cell(breach)}`),
    '',
  ].join('\n')
}

/** Names of a run are text: neither HTML nor Markdown. */
function cell(text: string): string {
  return plain(text).replace(/[\\`*_[\]<>|&#]/g, sign => `&#${sign.charCodeAt(0)};`)
}
