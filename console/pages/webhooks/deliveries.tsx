// What was sent to a webhook, how it answered, when it is tried again; each event can be sent again.
import { useState } from 'react'
import type { WebhookDelivery } from '../../../client/webhooks.ts'
import { change } from '../../api/request.ts'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { many } from '../../labels/formats.ts'
import { humanize } from '../../labels/reasons.ts'
import { Link } from '../../routing/link.tsx'

const FRESH_MS = 5_000

export function Deliveries({ path, enabled }: { path: string; enabled: boolean }) {
  const [open, setOpen] = useState(false)
  return (
    <details onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>Deliveries</summary>
      {open ? <DeliveryTable path={`${path}/deliveries`} enabled={enabled} /> : null}
    </details>
  )
}

function DeliveryTable({ path, enabled }: { path: string; enabled: boolean }) {
  const { data, failure, refetch } = useQuery<{ items: WebhookDelivery[] }>(`${path}?limit=200`, {
    everyMs: FRESH_MS,
  })
  const [sending, setSending] = useState<number | null>(null)
  const [refused, setRefused] = useState<unknown>(null)
  const resend = async (event: number) => {
    setSending(event)
    setRefused(null)
    await change('POST', path, { event }).catch(setRefused)
    setSending(null)
    refetch()
  }
  return (
    <>
      <FailureNotice failure={failure ?? refused} />
      <DataTable
        label="Deliveries"
        layout="stacks"
        rows={data?.items ?? []}
        rowKey={({ event }) => event}
        loading={data === null && failure === null}
        failure={failure}
        empty={<p className="faint small">Nothing was sent since the service started.</p>}
        columns={[
          { title: 'Event', rowHeader: true, cell: ({ type }) => humanize(type) },
          {
            title: 'Device',
            cellClass: 'break',
            cell: ({ deviceId }) =>
              deviceId === null ? (
                '–'
              ) : (
                <Link to={`/devices/${encodeURIComponent(deviceId)}`}>{deviceId}</Link>
              ),
          },
          {
            title: 'Answer',
            cellClass: 'break',
            cell: ({ delivered, status, why, attempts }) => (
              <>
                <Badge tone={delivered ? 'good' : 'bad'}>{delivered ? 'taken' : 'not taken'}</Badge>{' '}
                <span className="small soft">
                  {status === null ? '' : `answered ${status}`}
                  {why === null ? '' : ` ${why}`}
                  {attempts > 1 ? `, ${many(attempts, 'attempt')}` : ''}
                </span>
              </>
            ),
          },
          {
            title: 'Sent',
            cell: ({ attemptedAt, nextAttemptAt }) => (
              <>
                <Timestamp at={attemptedAt} />
                {nextAttemptAt === null ? null : (
                  <span className="small soft">
                    , next try <Timestamp at={nextAttemptAt} />
                  </span>
                )}
              </>
            ),
          },
          enabled
            ? {
                title: <span className="hidden-from-sight">Actions</span>,
                className: 'tight',
                cell: ({ event }) => (
                  <Button
                    small
                    busy={sending === event}
                    disabled={sending !== null}
                    onClick={() => void resend(event)}
                  >
                    Send again
                  </Button>
                ),
              }
            : null,
        ]}
      />
    </>
  )
}
