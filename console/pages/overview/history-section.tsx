// The history on the overview: the span of time, its charts, and the same numbers as a table.
import { useState } from 'react'
import type { History } from '../../../client/events.ts'
import { useQuery } from '../../api/use-query.ts'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { periodText } from '../../components/time-axis.ts'
import { bytes, count } from '../../labels/formats.ts'
import { useRoute, withQuery } from '../../routing/location.ts'
import { HistoryCharts } from './history-charts.tsx'

const spans = [
  { span: 'hour', title: 'Hour', text: 'the last hour, by minute', everyMs: 3_000 },
  { span: 'day', title: 'Day', text: 'the last 24 hours, by 10 minutes', everyMs: 10_000 },
  { span: 'week', title: 'Week', text: 'the last 7 days, by hour', everyMs: 60_000 },
  { span: 'month', title: 'Month', text: 'the last 31 days, by day', everyMs: 60_000 },
  { span: 'year', title: 'Year', text: 'the last 53 weeks, by week', everyMs: 60_000 },
] as const

export function HistorySection() {
  const route = useRoute()
  const asked = route.query.get('span')
  const { span, text, everyMs } = spans.find(one => one.span === asked) ?? spans[0]
  const { data, failure, loading, refetch } = useQuery<History>(`/v1/history?span=${span}`, { everyMs })
  return (
    <>
      <Tabs
        label="Span of time"
        tabs={spans.map(one => ({
          to: withQuery(route, { span: one === spans[0] ? null : one.span }),
          title: one.title,
          current: one.span === span,
        }))}
      />
      <FailureNotice failure={failure} refetch={refetch} />
      {loading ? <Skeleton lines={8} /> : null}
      {data === null ? null : (
        <>
          <HistoryCharts history={data} spanText={text} />
          <Numbers history={data} />
        </>
      )}
    </>
  )
}

function Numbers({ history: { periods, periodSeconds } }: { history: History }) {
  const [open, setOpen] = useState(false)
  return (
    <details onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>The same as a table</summary>
      {open ? (
        <DataTable
          label="The history as a table"
          rows={periods.toReversed()}
          rowKey={({ at }) => at}
          columns={[
            {
              title: 'From',
              rowHeader: true,
              cell: ({ at }) => periodText(Date.parse(at), periodSeconds * 1_000),
            },
            {
              title: 'Sessions',
              className: 'end',
              cell: p => (p.sessions === null ? '–' : count(p.sessions)),
            },
            { title: 'Connected', className: 'end', cell: p => count(p.connected) },
            {
              title: 'Refused',
              className: 'end',
              cell: p => count(Object.values(p.refused).reduce((sum, value) => sum + value, 0)),
            },
            { title: 'Denied', className: 'end', cell: p => count(p.denied) },
            { title: 'Messages in', className: 'end', cell: p => count(p.messagesReceived) },
            { title: 'Messages out', className: 'end', cell: p => count(p.messagesSent) },
            { title: 'Bytes in', className: 'end', cell: p => bytes(p.bytesReceived) },
            { title: 'Bytes out', className: 'end', cell: p => bytes(p.bytesSent) },
          ]}
        />
      ) : null}
    </details>
  )
}
