// The charts of the overview over one span of time: sessions, connects and refusals by reason, messages, bytes, latency.
import type { History } from '../../../client/events.ts'
import { Card } from '../../components/card.tsx'
import { Legend } from '../../components/legend.tsx'
import { Empty } from '../../components/placeholders.tsx'
import type { Measure } from '../../components/time-axis.ts'
import { type Series, TimeChart } from '../../components/time-chart.tsx'
import { chartColors, reasonColor } from '../../labels/chart-colors.ts'
import { bytes, count } from '../../labels/formats.ts'
import { reasonLabel } from '../../labels/reasons.ts'

const REASONS_SHOWN = 5
type Period = History['periods'][number]
type Sum = (values: readonly (number | null)[]) => number
/** `sum` makes the number of the legend. */
type Summed = Series & { sum?: Sum }

const total: Sum = values => values.reduce<number>((sum, value) => sum + (value ?? 0), 0)
const most: Sum = values => Math.max(0, ...values.map(value => value ?? 0))
const average: Sum = values => {
  const known = values.filter(value => value !== null)
  return known.length === 0 ? 0 : total(known) / known.length
}
const averageCount: Sum = values => Math.round(average(values))
const milliseconds = (value: number) =>
  `${value.toLocaleString('en', { maximumSignificantDigits: value < 10 ? 2 : 3 })} ms`
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const compactCount = (value: number) => compact.format(value)

export function HistoryCharts({ history, spanText }: { history: History; spanText: string }) {
  const { periods } = history
  const of = (field: (period: Period) => number | null) => periods.map(field)
  const show = { history, spanText }
  return (
    <div className="grid two even">
      <ChartCard
        {...show}
        title="Connected devices"
        kind="lines"
        series={[
          {
            name: 'At most',
            sum: most,
            color: chartColors.rest,
            values: of(({ sessionsMax }) => sessionsMax),
          },
          {
            name: 'On average',
            sum: averageCount,
            color: chartColors.first,
            values: of(({ sessions }) => sessions),
          },
        ]}
        empty="The number of sessions stands here once a broker runs."
      />
      <ChartCard
        {...show}
        title="Connects and refusals"
        kind="bars"
        series={[
          { name: 'Connected', color: chartColors.first, values: of(({ connected }) => connected) },
          ...refusalSeries(periods),
        ]}
        empty="Each connection that is admitted or refused counts here, with its reason."
      />
      <ChartCard
        {...show}
        title="Messages"
        kind="lines"
        series={[
          { name: 'Received', color: chartColors.first, values: of(p => p.messagesReceived) },
          { name: 'Sent', color: chartColors.second, values: of(p => p.messagesSent) },
          { name: 'Dropped', color: 'var(--bad)', values: of(p => p.messagesDropped) },
        ]}
        empty="Messages that devices publish, and that brokers deliver to them."
      />
      <ChartCard
        {...show}
        title="Bytes"
        kind="lines"
        format={bytes}
        measure="bytes"
        series={[
          { name: 'Received', color: chartColors.first, values: of(p => p.bytesReceived) },
          { name: 'Sent', color: chartColors.second, values: of(p => p.bytesSent) },
        ]}
        empty="Bytes of MQTT packets, without TLS."
      />
      <ChartCard
        {...show}
        title="From publish to acknowledgement"
        note="Of messages of QoS 1 and 2, the disk included. Routing: until every receiver has the message in connection or queue. One message of 16 is timed."
        kind="lines"
        format={milliseconds}
        measure="parts"
        series={[
          { name: 'At most', sum: most, color: chartColors.rest, values: of(p => p.acknowledgementMaxMs) },
          {
            name: 'On average',
            sum: average,
            color: chartColors.first,
            values: of(p => p.acknowledgementMs),
          },
          {
            name: 'Routing, on average',
            sum: average,
            color: chartColors.second,
            values: of(p => p.routingMs),
          },
        ]}
        empty="No message was timed yet."
      />
      <ChartCard
        {...show}
        title="Denied by policy"
        note="Publishes, subscriptions and wills without a right to them."
        kind="bars"
        series={[
          { name: 'Denied', color: reasonColor('publish_denied'), values: of(({ denied }) => denied) },
        ]}
        empty="Nothing was denied in this time."
      />
    </div>
  )
}

/** The most frequent by themselves, each in its own colour; all others together. */
function refusalSeries(periods: readonly Period[]): Series[] {
  const totals = new Map<string, number>()
  for (const { refused } of periods)
    for (const [reason, value] of Object.entries(refused))
      totals.set(reason, (totals.get(reason) ?? 0) + value)
  const ranked = [...totals].toSorted(([, one], [, other]) => other - one).map(([reason]) => reason)
  const rest = ranked.slice(REASONS_SHOWN)
  const shown = ranked.slice(0, REASONS_SHOWN).map(reason => ({
    name: reasonLabel(reason).title,
    color: reasonColor(reason),
    values: periods.map(({ refused }) => refused[reason] ?? 0),
  }))
  if (rest.length === 0) return shown
  const values = periods.map(({ refused }) => total(rest.map(reason => refused[reason] ?? 0)))
  return [...shown, { name: `${rest.length} other reasons`, color: chartColors.rest, values }]
}

function ChartCard({
  history: { periods, periodSeconds },
  spanText,
  title,
  note,
  kind,
  series: all,
  format = count,
  measure = 'counts',
  empty,
}: {
  history: History
  spanText: string
  title: string
  note?: string
  kind: 'bars' | 'lines'
  series: readonly Summed[]
  format?: (value: number) => string
  measure?: Measure
  empty: string
}) {
  // Of many, those that are nothing are left out.
  const series = all.filter(({ values }) => all.length <= 2 || total(values) > 0)
  const isEmpty = all.every(({ values }) => total(values) === 0)
  const entries = series.map(({ name, color, values, sum = total }) => ({
    name,
    color,
    value: format(sum(values)),
  }))
  return (
    <Card title={title} aside={spanText}>
      {note === undefined ? null : <p className="soft small">{note}</p>}
      {isEmpty ? (
        <Empty title="Nothing in this time">
          <p>{empty}</p>
        </Empty>
      ) : (
        <>
          <TimeChart
            label={`${title}, ${spanText}: ${entries.map(({ name, value }) => `${name} ${value}`).join(', ')}`}
            kind={kind}
            times={periods.map(({ at }) => Date.parse(at))}
            periodMs={periodSeconds * 1_000}
            series={series}
            format={format === count ? compactCount : format}
            measure={measure}
          />
          <Legend entries={entries} />
        </>
      )}
    </Card>
  )
}
