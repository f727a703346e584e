// What a person reads of a run: a line for each event and every few seconds on stderr, the summary as text on stdout.
// Refuses to know how anything was measured.
import { styleText } from 'node:util'
import type { RunListener } from '../results/feed.ts'
import type { Percentiles, Sample } from '../results/sample.ts'
import type { Summary } from '../results/summary.ts'

const SAMPLE_EVERY_MS = 5_000
const STEP_EVERY_MS = 2_000

export function createWords(stderr: NodeJS.WriteStream): RunListener {
  let shownAt = Number.NEGATIVE_INFINITY
  return {
    step(what, done, total) {
      if (done < total && performance.now() - shownAt < STEP_EVERY_MS) return
      shownAt = performance.now()
      stderr.write(`${what} ${done}/${total}\n`)
    },
    event: ({ elapsedSeconds, text, good }) => {
      stderr.write(`${elapsedSeconds.toFixed(1).padStart(7)} s  ${good ? '' : '✗ '}${text}\n`)
    },
    sample(sample) {
      if (performance.now() - shownAt < SAMPLE_EVERY_MS) return
      shownAt = performance.now()
      stderr.write(`${lineOf(sample)}\n`)
    },
  }
}

function lineOf({
  elapsedSeconds,
  population,
  connects,
  traffic,
  acknowledgeMs,
  wronglyAdmitted,
}: Sample): string {
  const sent = traffic.qos0.sent + traffic.qos1.sent + traffic.qos2.sent
  const parts = [
    `${population.connected}/${population.total} connected`,
    `${connects.admitted} admitted, ${connects.refused} refused, ${connects.failed} failed`,
    `${sent} sent`,
  ]
  if (acknowledgeMs.p99 !== null) parts.push(`acknowledge p99 ${acknowledgeMs.p99} ms`)
  if (wronglyAdmitted > 0) parts.push(`${wronglyAdmitted} WRONGLY ADMITTED`)
  return `${elapsedSeconds.toFixed(1).padStart(7)} s  ${parts.join(' · ')}`
}

export function summaryText(summary: Summary, stdout: NodeJS.WriteStream): string {
  const paint = (style: 'bold' | 'green' | 'red', text: string): string =>
    styleText(style, text, { stream: stdout })
  const row = (label: string, text: string): string => `  ${label.padEnd(14)}${text}`
  const { run, connects, verdict, tool } = summary
  const lines = [paint('bold', `${run.name}: ${summary.population.total} devices against ${run.broker}`)]
  lines.push(
    row('connects', `${connects.admitted} admitted, ${connects.refused} refused, ${connects.failed} failed`),
  )
  lines.push(row('', percentiles(connects.latencyMs)))
  for (const [saw, { expected, unexpected }] of Object.entries(summary.refusals)) {
    lines.push(row('refused', `${saw}: ${expected} as expected, ${unexpected} wrongly`))
  }
  lines.push(
    row('wrongly', `${summary.wronglyAdmitted.count} admitted, ${summary.wronglyRefused.count} refused`),
  )
  for (const [qos, traffic] of Object.entries(summary.traffic)) {
    if (traffic.sent + traffic.received === 0) continue
    const { sent, acknowledged, received, lost, duplicated, reordered } = traffic
    const both = `${sent} sent, ${acknowledged} acknowledged, ${received} received`
    lines.push(row(qos, `${both}, ${lost} lost, ${duplicated} duplicated, ${reordered} reordered`))
  }
  lines.push(row('acknowledge', percentiles(summary.acknowledgeMs)))
  lines.push(row('deliver', percentiles(summary.deliverMs)))
  for (const action of summary.actions) {
    const { verb, group, devices, kept, cutMs } = action
    lines.push(row(verb, `${devices} of ${group}, ${kept} kept; cut after ${percentiles(cutMs)}`))
  }
  for (const { expression, observed, passed } of summary.checks) {
    lines.push(row(passed ? 'kept' : 'breached', `${expression} (${observed ?? 'not measured'})`))
  }
  for (const { text, seconds } of summary.limits) lines.push(row('limit', `${text} (${seconds} s)`))
  const cpu = tool.cpuMicrosPerMessage === null ? '' : `, ${tool.cpuMicrosPerMessage} µs a message`
  lines.push(
    row('simulator', `${tool.cpuSeconds} s CPU${cpu}, ${Math.round(tool.rssMaxBytes / 1_048_576)} MiB`),
  )
  lines.push(row('verdict', verdict.passed ? paint('green', 'passed') : paint('red', 'failed')))
  for (const breach of verdict.breaches) lines.push(`    ${paint('red', '✗')} ${breach}`)
  return `${lines.join('\n')}\n`
}

function percentiles({ count, p50, p95, p99, max }: Percentiles): string {
  return count === 0 ? 'nothing measured' : `p50 ${p50}  p95 ${p95}  p99 ${p99}  max ${max} ms`
}
