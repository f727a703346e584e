// The summary of a run as text for stdout. Does not know how anything was measured.
import { styleText } from 'node:util'
import { meaningOf } from '../links/reason-codes.ts'
import { listed } from '../results/causes.ts'
import type { Traffic } from '../results/sample.ts'
import type { Summary } from '../results/summary.ts'
import {
  byteRate,
  count,
  duration,
  measuredText,
  mebibytes,
  percentiles,
  plain,
  rate,
  verdictWord,
} from './figures.ts'
import { runtimesOf } from './runtimes.ts'

type Paint = (style: 'bold' | 'green' | 'red', text: string) => string

const LABEL_CELLS = 14

export function summaryText(summary: Summary, stdout: NodeJS.WriteStream): string {
  const paint: Paint = (style, text) => styleText(style, text, { stream: stdout })
  const { run, connects, tool, population, wronglyAdmitted, wronglyRefused } = summary
  const title = `${plain(run.name)}: ${count(population.total)} devices against ${plain(run.broker)}`
  const grave = (times: number, how: string): string =>
    times > 0 ? paint('red', `${count(times)} ${how}`) : `0 ${how}`
  const lines = [paint('bold', `${title}${summary.interrupted ? ', interrupted' : ''}`)]
  lines.push(
    row('connected', connectedText(summary)),
    row(
      'connects',
      `${count(connects.admitted)} admitted, ${count(connects.refused)} refused, ${count(connects.failed)} failed`,
    ),
  )
  for (const [label, causes] of [
    ['failed', summary.failures],
    ['dropped', summary.drops],
  ] as const) {
    if (Object.keys(causes).length > 0) lines.push(row(label, plain(listed(causes))))
  }
  for (const [saw, { expected, unexpected }] of Object.entries(summary.refusals)) {
    lines.push(
      row('refused', `${plain(saw)}: ${count(expected)} as expected, ${grave(unexpected, 'wrongly')}`),
    )
  }
  lines.push(
    row('wrongly', `${grave(wronglyAdmitted.count, 'admitted')}, ${grave(wronglyRefused.count, 'refused')}`),
  )
  for (const { name, fault, connects, refusals } of summary.groups) {
    if (fault === null) continue
    const saw = Object.keys(refusals).map(plain).join(', ')
    const admitted = grave(connects.admitted, 'admitted')
    lines.push(row('', `${plain(name).padEnd(18)}${count(connects.refused)} refused, ${admitted}  ${saw}`))
  }
  for (const [qos, traffic] of Object.entries(summary.traffic)) {
    if (traffic.sent + traffic.received + traffic.missed > 0) lines.push(row(qos, messages(traffic, paint)))
  }
  const rates = rateText(summary)
  if (rates !== '') lines.push(row('rate', rates))
  const reasons = Object.entries(summary.reasons).toSorted(([a], [b]) => (a < b ? -1 : 1))
  for (const packet of new Set(reasons.map(([name]) => name.split('_')[0] ?? ''))) {
    const codes = reasons.filter(([name]) => name.startsWith(`${packet}_`))
    lines.push(row(packet, codes.map(([name, times]) => reasonText(name, times, paint)).join(', ')))
  }
  const latencies = {
    connect: connects.latencyMs,
    acknowledge: summary.acknowledgeMs,
    deliver: summary.deliverMs,
  }
  for (const [name, one] of Object.entries(latencies)) {
    if (one.count > 0) lines.push(row(name, percentiles(one)))
  }
  for (const { verb, group, devices, failed, kept, cutMs } of summary.actions) {
    const cut = cutMs.count === 0 ? '' : `; ${count(cutMs.count)} cut, p99 ${duration(cutMs.p99)}`
    const troubles = `${failed > 0 ? `, ${grave(failed, 'failed')}` : ''}${kept > 0 ? `, ${grave(kept, 'kept')}` : ''}`
    lines.push(row(verb, `${count(devices)} of ${plain(group)}${troubles}${cut}`))
  }
  for (const { expression, observed, passed } of summary.checks) {
    const text = `${plain(expression)} (${measuredText(expression, observed)})`
    lines.push(row(passed ? 'kept' : 'breached', passed ? text : paint('red', text)))
  }
  for (const { text, seconds } of summary.limits) lines.push(row('limit', `${plain(text)} (${seconds} s)`))
  const cpu =
    tool.cpuMicrosPerMessage === null ? '' : `, ${Math.round(tool.cpuMicrosPerMessage)} µs a message`
  const runtimes = runtimesOf(run)
  const elsewhere = runtimes.every(name => name.startsWith('node '))
    ? ''
    : `, on ${plain(runtimes.join(' and '))}`
  lines.push(
    row(
      'simulator',
      `${tool.cpuSeconds.toFixed(1)} s CPU${cpu}, at most ${mebibytes(tool.rssMaxBytes)}${elsewhere}`,
    ),
  )
  if (summary.watched) {
    const { pids, cpuSeconds, cpuMicrosPerMessage: micros, rssMaxBytes } = summary.watched
    const each = micros === null ? '' : `, ${Math.round(micros)} µs a message`
    const text = `process ${pids.join(', ')}: ${cpuSeconds.toFixed(1)} s CPU${each}, at most ${mebibytes(rssMaxBytes)}`
    lines.push(row('watched', text))
  }
  for (const { name, workers, clockErrorMs } of run.agents ?? []) {
    const processes = workers === 1 ? '1 worker' : `${workers} workers`
    lines.push(row('agent', `${plain(name)}: ${processes}, clock known to ${duration(clockErrorMs)}`))
  }
  const { passed, exitCode, breaches } = summary.verdict
  lines.push(row('verdict', paint(passed ? 'green' : 'red', verdictWord(exitCode))))
  for (const breach of breaches) lines.push(`    ${paint('red', '✗')} ${plain(breach)}`)
  return `${lines.join('\n')}\n`
}

/** Honest devices that are neither connected nor asleep are named by their state: rogues are to be kept out. */
function connectedText({ population, groups }: Pick<Summary, 'population' | 'groups'>): string {
  const honest = groups.filter(({ fault }) => fault === null)
  const inState = (state: 'connecting' | 'waiting') =>
    honest.reduce((sum, group) => sum + group.population[state], 0)
  const [connecting, waiting] = [inState('connecting'), inState('waiting')]
  const others = [
    connecting > 0 ? `, ${count(connecting)} in the middle of an attempt` : '',
    waiting > 0 ? `, ${count(waiting)} waiting to reconnect` : '',
  ]
  return `${count(population.connected)} at the end${others.join('')}`
}

const troubleNames = [
  'lost',
  'duplicated',
  'reordered',
  'missed',
  'unacknowledged',
  'refused',
  'altered',
  'expired',
] as const

/** `puback_0x87` → 12 × 0x87 not authorized. */
function reasonText(name: string, times: number, paint: Paint): string {
  const [packet = '', code = ''] = name.split('_')
  const text = `${count(times)} × ${code} ${meaningOf(packet, Number(code)).toLowerCase()}`
  return Number(code) >= 0x80 ? paint('red', plain(text)) : plain(text)
}

/** Over the whole run, connecting included. */
function rateText({ traffic, seconds }: Summary): string {
  const sum = (of: keyof Traffic): number =>
    Object.values(traffic).reduce((all, one) => all + (one[of] ?? 0), 0)
  const ways = [
    ['sent', sum('sent'), sum('sentBytes')],
    ['received', sum('received'), sum('receivedBytes')],
  ] as const
  return ways
    .filter(([, times]) => times > 0)
    .map(([way, times, bytes]) => `${way} ${rate(times / seconds)}/s, ${byteRate(bytes, seconds)}`)
    .join('; ')
}

function messages(traffic: Traffic, paint: Paint): string {
  const always = (['sent', 'acknowledged', 'received'] as const).map(of => `${count(traffic[of])} ${of}`)
  const troubles = troubleNames
    .filter(of => traffic[of] > 0)
    .map(of => paint('red', `${count(traffic[of])} ${of}`))
  return [...always, ...(troubles.length > 0 ? troubles : ['none lost'])].join(', ')
}

function row(label: string, text: string): string {
  return `  ${label.padEnd(LABEL_CELLS)}${text}`
}
