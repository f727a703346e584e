// What a run has to say, as data first and as text for people second. Refuses to know how it was measured.
import { styleText } from 'node:util'
import { stringify } from 'yaml'
import type { DeviceFate } from './device.ts'
import type { Enrollment } from './enrollment.ts'
import type { Measurements, Percentiles } from './measurements.ts'
import type { OutputFormat, SimOptions } from './options.ts'
import type { RogueProof } from './rogue-proof.ts'
import { rogueDescriptions } from './rogues.ts'
import type { Verdict } from './verdict.ts'

/** The JSON summary. Times RFC 3339 UTC, latencies in milliseconds, counts of the whole run. */
export type Report = {
  report: 'rollcall-sim'
  version: 1
  startedAt: string
  endedAt: string
  interrupted: boolean
  target: { broker: string; api: string }
  options: Omit<SimOptions, 'yes' | 'output'>
  enrollment: {
    reused: number
    enrolled: number
    causes: Enrollment['causes']
    apiRetries: number
    seconds: number
  } | null
  devices: { total: number; atEnd: Record<DeviceFate, number> }
  connects: {
    attempts: number
    admitted: number
    readmitted: number
    /** Attempts that did not end in a session, by what the device saw. */
    failed: Record<string, number>
    latencyMs: Percentiles
    rampSeconds: number
  }
  /** Sessions that the broker or the network ended, by cause. */
  dropped: Record<string, number>
  messages: {
    qos: 0 | 1 | 2
    published: number
    acknowledged: number
    lost: number
    missed: number
    /** From the time a message was due to its acknowledgement; without values at QoS 0, which has none. */
    latencyMs: Percentiles
    sendLagMs: Percentiles
  }
  commands: { subscribed: number; refused: number; received: number }
  rogues: RogueProof | null
  self: { cpuSeconds: number; rssMaxBytes: number }
  verdict: Verdict
}

/** The parts of a report that come from measuring. */
export function summarize(
  m: Measurements,
  qos: 0 | 1 | 2,
  rampSeconds: number,
): Pick<Report, 'connects' | 'dropped' | 'messages' | 'commands'> {
  const failed = Object.fromEntries([...m.outcomes].filter(([name]) => name !== 'admitted').sort())
  return {
    connects: {
      attempts: m.attempts,
      admitted: m.admitted,
      readmitted: m.readmitted,
      failed,
      latencyMs: m.connectLatency.read(),
      rampSeconds,
    },
    dropped: Object.fromEntries([...m.dropped].sort()),
    messages: {
      qos,
      published: m.published,
      acknowledged: m.acknowledged,
      lost: m.lost,
      missed: m.missed,
      latencyMs: m.publishLatency.read(),
      sendLagMs: m.sendLag.read(),
    },
    commands: { subscribed: m.subscribed, refused: m.subscribeRefused, received: m.commandsReceived },
  }
}

/** The report in the format asked for; JSON is one object on one line. */
export function renderReport(report: Report, format: OutputFormat, stream: NodeJS.WriteStream): string {
  if (format === 'yaml') return stringify(report)
  if (format !== 'table') return `${JSON.stringify(report)}\n`
  return renderText(report, (style, text) => styleText(style, text, { stream }))
}

type Paint = (style: 'bold' | 'green' | 'red' | 'dim', text: string) => string

function renderText(report: Report, paint: Paint): string {
  const { connects, messages, enrollment, rogues } = report
  const line = (label: string, text: string): string => `  ${label.padEnd(12)}${text}`
  const lines = [paint('bold', `Simulated ${report.devices.total} devices against ${report.target.broker}`)]
  if (enrollment) {
    const made = `${enrollment.enrolled} new, ${enrollment.reused} reused`
    lines.push(line('enrolled', `${made}, in ${enrollment.seconds.toFixed(1)} s`))
  }
  const again = connects.readmitted > 0 ? `, ${connects.readmitted} again after a drop` : ''
  lines.push(line('connects', `${connects.admitted} admitted${again}, of ${connects.attempts} attempts`))
  lines.push(line('', paint('dim', percentiles(connects.latencyMs))))
  if (Object.keys(connects.failed).length > 0) lines.push(line('failed', counts(connects.failed)))
  if (Object.keys(report.dropped).length > 0) lines.push(line('dropped', counts(report.dropped)))
  const sent = `${messages.published} published`
  const outcome = `${messages.acknowledged} acknowledged, ${messages.lost} lost, ${messages.missed} missed`
  lines.push(
    line(
      'messages',
      messages.qos === 0 ? `${sent} (QoS 0), ${messages.missed} missed` : `${sent}, ${outcome}`,
    ),
  )
  if (messages.qos > 0) lines.push(line('', paint('dim', percentiles(messages.latencyMs))))
  lines.push(
    line('commands', `${report.commands.subscribed} subscribed, ${report.commands.received} received`),
  )
  if (rogues) {
    const tally = `${rogues.refused} refused, ${rogues.admitted} admitted, ${rogues.inconclusive} inconclusive`
    lines.push(line('rogues', tally))
    for (const result of rogues.results) {
      const good = result.verdict === 'refused'
      const verdict = paint(
        good ? 'green' : 'red',
        (good ? 'refused' : result.verdict.toUpperCase()).padEnd(13),
      )
      lines.push(
        `    ${verdict}${result.kind.padEnd(18)}${result.saw.padEnd(24)}${paint('dim', rogueDescriptions[result.kind])}`,
      )
    }
  }
  const own = `${report.self.cpuSeconds.toFixed(1)} s CPU, ${Math.round(report.self.rssMaxBytes / 1_048_576)} MiB`
  lines.push(line('simulator', own))
  const passed = report.interrupted ? 'passed until interrupted' : 'passed'
  lines.push(line('verdict', report.verdict.passed ? paint('green', passed) : paint('red', 'failed')))
  for (const breach of report.verdict.breaches) lines.push(`    ${paint('red', '✗')} ${breach.message}`)
  return `${lines.join('\n')}\n`
}

function percentiles({ count, p50, p95, p99, max }: Percentiles): string {
  if (count === 0) return 'nothing measured'
  return `p50 ${fixed(p50)}  p95 ${fixed(p95)}  p99 ${fixed(p99)}  max ${fixed(max)} ms`
}

function fixed(ms: number | null): string {
  return ms === null ? '–' : ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)
}

function counts(of: Record<string, number>): string {
  return Object.entries(of)
    .map(([name, count]) => `${count} × ${name}`)
    .join(', ')
}
