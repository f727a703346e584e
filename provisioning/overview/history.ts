// The history of the service over an hour, a day, a week, a month or a year: rows of the file, put together to periods of equal
// length. Pure, but for the reader.
import type { EventKind } from '../../db/events/event-kind.ts'
import type { HistoryStep } from '../../db/history/history-file.ts'
import type { HistoryFigure, HistoryReader } from '../../db/history/history-reader.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Which step of the file is read, how long a period is, and how many there are. */
const spans = {
  hour: { step: 'minute', periodMs: MINUTE_MS, periods: 60 },
  day: { step: 'tenMinutes', periodMs: 10 * MINUTE_MS, periods: 144 },
  week: { step: 'hour', periodMs: HOUR_MS, periods: 168 },
  month: { step: 'day', periodMs: DAY_MS, periods: 31 },
  year: { step: 'day', periodMs: 7 * DAY_MS, periods: 53 },
} as const satisfies Record<string, { step: HistoryStep; periodMs: number; periods: number }>
export type HistorySpan = keyof typeof spans
export const historySpans = Object.keys(spans) as HistorySpan[]

/** Changes of the fleet that are counted, each under the kind of its event. */
export const changeKinds = [
  'enrolled',
  'waiting',
  'renewed',
  'rekeyed_early',
  'suspended',
  'activated',
  'revoked',
  'decommissioned',
  'cloned',
] as const satisfies readonly EventKind[]
type ChangeKind = (typeof changeKinds)[number]

/** `at` is the begin. Averages and maxima are null where nothing was sampled. */
type Period = {
  at: number
  sessions: number | null
  sessionsMax: number | null
  connected: number
  disconnected: number
  refused: Record<string, number>
  denied: number
  messagesReceived: number
  messagesSent: number
  messagesDropped: number
  bytesReceived: number
  bytesSent: number
  /** Of the messages that were timed, in ms. */
  acknowledgementMs: number | null
  acknowledgementMaxMs: number | null
  routingMs: number | null
  routingMaxMs: number | null
  changes: Record<ChangeKind, number>
}
export type History = { span: HistorySpan; periodMs: number; periods: Period[] }

const KEPT_MS = 2_000

/** Gives the history up to now; one that was read within the last two seconds is given again. */
export function createHistoryService(
  reader: HistoryReader,
  now: () => number,
): (span: HistorySpan) => History {
  const kept = new Map<HistorySpan, { until: number; history: History }>()
  return span => {
    const known = kept.get(span)
    if (known !== undefined && performance.now() < known.until) return known.history
    const { step, periodMs, periods } = spans[span]
    const first = (Math.floor(now() / periodMs) - periods + 1) * periodMs
    const history = {
      span,
      periodMs,
      periods: periodsOf(reader.figures(step, first), first, periodMs, periods),
    }
    kept.set(span, { until: performance.now() + KEPT_MS, history })
    return history
  }
}

/** Figures before `first` or beyond the last period are left out. */
export function periodsOf(
  figures: readonly HistoryFigure[],
  first: number,
  periodMs: number,
  count: number,
): Period[] {
  const periods = Array.from({ length: count }, (_, index) => emptyPeriod(first + index * periodMs))
  const sampled = new Map<Period, Map<string, { total: number; samples: number; most: number }>>()
  for (const figure of figures) {
    const period = periods[Math.floor((figure.at - first) / periodMs)]
    if (period === undefined) continue
    if (figure.name === 'sessions' || Object.hasOwn(times, figure.name)) {
      const own = sampled.get(period) ?? new Map()
      sampled.set(period, own)
      const key = `${figure.name} ${figure.label}`
      const sum = own.get(key) ?? { total: 0, samples: 0, most: 0 }
      sum.total += figure.total
      sum.samples += figure.samples
      sum.most = Math.max(sum.most, figure.most)
      own.set(key, sum)
    } else addCounter(period, figure)
  }
  for (const [period, own] of sampled) {
    for (const [key, { total, samples, most }] of own) {
      if (samples === 0) continue
      const time = times[key.split(' ')[0]!]
      if (time !== undefined) {
        period[`${time}Ms`] = total / samples / 1_000
        period[`${time}MaxMs`] = most / 1_000
      } else {
        // Of each broker, and of all of them together.
        period.sessions = (period.sessions ?? 0) + total / samples
        period.sessionsMax = (period.sessionsMax ?? 0) + most
      }
    }
    if (period.sessions !== null) period.sessions = Math.round(period.sessions * 10) / 10
  }
  return periods
}

/** Sampled in µs. */
const times: Readonly<Record<string, 'acknowledgement' | 'routing'>> = {
  acknowledgement_us: 'acknowledgement',
  routing_us: 'routing',
}

const counters: Readonly<
  Record<
    string,
    | 'connected'
    | 'disconnected'
    | 'denied'
    | 'messagesReceived'
    | 'messagesSent'
    | 'messagesDropped'
    | 'bytesReceived'
    | 'bytesSent'
  >
> = {
  connected: 'connected',
  disconnected: 'disconnected',
  publish_denied: 'denied',
  subscribe_denied: 'denied',
  will_denied: 'denied',
  messages_received: 'messagesReceived',
  messages_sent: 'messagesSent',
  messages_dropped: 'messagesDropped',
  bytes_received: 'bytesReceived',
  bytes_sent: 'bytesSent',
}

function addCounter(period: Period, { name, label, total }: HistoryFigure): void {
  if (name === 'refused') period.refused[label] = (period.refused[label] ?? 0) + total
  else if (Object.hasOwn(counters, name)) period[counters[name]!] += total
  else if (Object.hasOwn(period.changes, name)) period.changes[name as ChangeKind] += total
}

function emptyPeriod(at: number): Period {
  return {
    at,
    sessions: null,
    sessionsMax: null,
    connected: 0,
    disconnected: 0,
    refused: {},
    denied: 0,
    messagesReceived: 0,
    messagesSent: 0,
    messagesDropped: 0,
    bytesReceived: 0,
    bytesSent: 0,
    acknowledgementMs: null,
    acknowledgementMaxMs: null,
    routingMs: null,
    routingMaxMs: null,
    changes: Object.fromEntries(changeKinds.map(kind => [kind, 0])) as Record<ChangeKind, number>,
  }
}
