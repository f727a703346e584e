// An import as it goes: how far, what became of the rows, which were refused and why.
import { useState } from 'react'
import type { ImportOutcome, Job, RowResult } from '../../../client/jobs.ts'
import { change } from '../../api/request.ts'
import { useQuery } from '../../api/use-query.ts'
import { Badge, StateBadge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { count, many } from '../../labels/formats.ts'

const FRESH_MS = 500
const REFUSED_SHOWN = 100

export function JobView({ id }: { id: string }) {
  const [over, setOver] = useState(false)
  const { data, failure, refetch } = useQuery<Job>(`/v1/jobs/${id}`, over ? {} : { everyMs: FRESH_MS })
  const [stopping, setStopping] = useState<unknown>(null)
  const running = data !== null && (data.state === 'waiting' || data.state === 'running')
  if (data !== null && !running && !over) setOver(true)
  const outcomes = Object.entries(data?.counts ?? {}).filter(([, value]) => value > 0) as [
    ImportOutcome,
    number,
  ][]
  return (
    <Card
      title={data?.dryRun ? 'Dry run' : 'Import'}
      aside={data === null ? undefined : <StateBadge state={data.state} />}
    >
      <FailureNotice failure={failure ?? stopping} refetch={refetch} />
      {data === null ? (
        <Skeleton />
      ) : (
        <>
          <progress
            className="progress"
            max={Math.max(1, data.rowsTotal)}
            value={data.rowsDone}
            aria-label="Rows done"
          />
          <div className="row apart">
            <span role="status">
              {count(data.rowsDone)} of {many(data.rowsTotal, 'row')}
            </span>
            <span className="row">
              {outcomes.map(([outcome, value]) => (
                <Badge
                  key={outcome}
                  tone={outcome === 'refused' ? 'bad' : outcome === 'unchanged' ? 'neutral' : 'good'}
                >
                  {count(value)}{' '}
                  {data.dryRun && outcome !== 'refused' && outcome !== 'unchanged'
                    ? `would be ${outcome}`
                    : outcome}
                </Badge>
              ))}
            </span>
          </div>
          {data.error === null ? null : <Notice tone="bad" title={data.error} />}
          {running ? (
            <div className="row">
              <Button
                small
                onClick={() => change('POST', `/v1/jobs/${id}/cancel`).then(refetch, setStopping)}
              >
                Cancel
              </Button>
            </div>
          ) : null}
          {over && data.counts.refused > 0 ? <Refused id={id} total={data.counts.refused} /> : null}
          {over && data.counts.refused === 0 && data.dryRun ? (
            <Notice tone="good" title="Every row can be imported as it is." />
          ) : null}
        </>
      )}
    </Card>
  )
}

function Refused({ id, total }: { id: string; total: number }) {
  const { data, failure } = useQuery<string>(`/v1/jobs/${id}/results?outcome=refused&certificates=false`)
  const rows = (data ?? '')
    .split('\n', REFUSED_SHOWN)
    .filter(Boolean)
    .map(line => JSON.parse(line) as RowResult)
  return (
    <>
      <FailureNotice failure={failure} />
      <DataTable
        label="Refused rows"
        layout="fits"
        rows={rows}
        rowKey={({ row }) => row}
        columns={[
          { title: 'Line', className: 'tight end', cell: row => row.line },
          {
            title: 'Device',
            cellClass: 'break',
            cell: row => row.deviceId ?? <span className="faint">none</span>,
          },
          {
            title: 'Why it was refused',
            cellClass: 'break',
            cell: row => (
              <>
                {row.detail ?? ''} <code className="faint">{row.reason}</code>
              </>
            ),
          },
        ]}
      />
      {total > rows.length ? (
        <p className="small faint">
          The first {rows.length} of {count(total)}; <code>rollcall job results {id} --outcome refused</code>{' '}
          lists all.
        </p>
      ) : null}
    </>
  )
}
