// Samples as CSV (RFC 4180), a row for each second, for spreadsheets. Pure.
import type { Sample, Traffic } from '../results/sample.ts'

type Column = [name: string, of: (sample: Sample) => number | string | null]

const sum =
  (of: keyof Traffic) =>
  ({ traffic }: Sample): number =>
    Object.values(traffic).reduce((all, one) => all + one[of], 0)

const columns: Column[] = [
  ['at', ({ at }) => at],
  ['elapsed_seconds', ({ elapsedSeconds }) => elapsedSeconds],
  ['seconds', ({ seconds }) => seconds],
  ['stage', ({ stage }) => stage],
  ['connected', ({ population }) => population.connected],
  ['admitted', ({ connects }) => connects.admitted],
  ['refused', ({ connects }) => connects.refused],
  ['failed', ({ connects }) => connects.failed],
  ['wrongly_admitted', sample => sample.wronglyAdmitted],
  ['wrongly_refused', sample => sample.wronglyRefused],
  ...(['sent', 'acknowledged', 'received', 'missed', 'duplicated', 'reordered'] as const).map(
    (of): Column => [of, sum(of)],
  ),
  ['sent_bytes', sum('sentBytes')],
  ['received_bytes', sum('receivedBytes')],
  ...(['connect', 'acknowledge', 'deliver'] as const).flatMap(of =>
    (['p50', 'p99', 'max'] as const).map(
      (point): Column => [`${of}_${point}_ms`, sample => latencyOf(sample, of)[point]],
    ),
  ),
  ['cpu_busiest', ({ tool }) => tool.cpuBusiest],
  ['rss_bytes', ({ tool }) => tool.rssBytes],
]

function latencyOf(sample: Sample, of: 'connect' | 'acknowledge' | 'deliver') {
  if (of === 'connect') return sample.connects.latencyMs
  return of === 'acknowledge' ? sample.acknowledgeMs : sample.deliverMs
}

export const csvHead = columns.map(([name]) => name).join(',')

export function csvRow(sample: Sample): string {
  return columns.map(([, of]) => quoted(of(sample))).join(',')
}

/** A text that a spreadsheet would take for a formula gets an apostrophe before it. */
function quoted(value: number | string | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
