// `acknowledge.p99 < 500ms`: what a threshold or assertion compares. Reads the text and compares numbers.
// Does not know where a metric's value comes from beyond its name.
import { parseDurationMs } from '../duration.ts'

export type Expression = { text: string; metric: string; operator: Operator; value: number }
type Operator = '<' | '<=' | '=' | '>=' | '>' | '!='

const counted = [
  'wronglyAdmitted',
  'wronglyRefused',
  'unproven',
  'attempts',
  'admitted',
  'refused',
  'failures',
  'drops',
  'sent',
  'acknowledged',
  'unacknowledged',
  'missed',
  'received',
  'answered',
  'subscribeRefused',
  'publishRefused',
  'kept',
  'lost',
  'lost.qos0',
  'lost.qos1',
  'lost.qos2',
  'duplicated',
  'duplicated.qos0',
  'duplicated.qos1',
  'duplicated.qos2',
  'reordered',
  'reordered.qos0',
  'reordered.qos1',
  'reordered.qos2',
  'altered',
  'altered.qos0',
  'altered.qos1',
  'altered.qos2',
  'expired',
  'expired.qos0',
  'expired.qos1',
  'expired.qos2',
] as const
const latencies = ['connect', 'acknowledge', 'deliver', 'cut', 'late'] as const
const points = ['min', 'mean', 'p50', 'p90', 'p95', 'p99', 'max'] as const

/** Every name that an expression may begin with. `connected` is a share of the devices that should be in. */
const metricNames: readonly string[] = [
  ...counted,
  'connected',
  ...latencies.flatMap(latency => points.map(point => `${latency}.${point}`)),
]

/** What a group can be asked for by itself. */
export const groupMetricNames: readonly string[] = [
  'connected',
  'wronglyAdmitted',
  'wronglyRefused',
  'unproven',
  'attempts',
  'admitted',
  'refused',
  'failures',
  'drops',
  ...points.map(point => `connect.${point}`),
]

/** The expression, or the problem as text. */
export function parseExpression(text: string, names = metricNames): Expression | string {
  const match = /^\s*([\w.]+)\s*(<=|>=|!=|=|<|>)\s*(\S+)\s*$/.exec(text)
  if (!match) return `expected METRIC OPERATOR VALUE, such as acknowledge.p99 < 500ms`
  const [, metric = '', operator = '', amount = ''] = match
  if (!names.includes(metric)) return `there is no metric ${metric}; there are ${names.join(', ')}`
  const value = parseAmount(amount, metric)
  if (value === null) return `expected ${amountOf(metric)} instead of ${amount}`
  return { text: text.trim(), metric, operator: operator as Operator, value }
}

export function holds({ operator, value }: Expression, observed: number): boolean {
  switch (operator) {
    case '<':
      return observed < value
    case '<=':
      return observed <= value
    case '=':
      return observed === value
    case '>=':
      return observed >= value
    case '>':
      return observed > value
    case '!=':
      return observed !== value
  }
}

function parseAmount(text: string, metric: string): number | null {
  const plain = /^\d+(\.\d+)?$/.test(text) ? Number(text) : null
  if (isLatency(metric)) return parseDurationMs(text)
  if (metric !== 'connected') return plain
  return /^\d+(\.\d+)?%$/.test(text) ? Number(text.slice(0, -1)) / 100 : plain
}

function isLatency(metric: string): boolean {
  return latencies.some(latency => metric.startsWith(`${latency}.`))
}

function amountOf(metric: string): string {
  if (isLatency(metric)) return 'a time such as 500ms'
  return metric === 'connected' ? 'a share such as 99%' : 'a number'
}
