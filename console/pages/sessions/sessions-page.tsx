// Sessions: of devices that are connected, and kept ones of devices that are away; to end, and to clear with all that waits in it.
import { useState } from 'react'
import type { Session } from '../../../client/sessions.ts'
import type { Receipt } from '../../../client/types.ts'
import { change, query } from '../../api/request.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { ReceiptView, type TimedReceipt, timed } from '../../components/receipt.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count, many } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'
import { useRoute } from '../../routing/location.ts'

const FRESH_MS = 5_000
const views = [
  { key: null, title: 'All', filter: {} },
  { key: 'connected', title: 'Connected', filter: { connected: true } },
  { key: 'kept', title: 'Kept while away', filter: { connected: false } },
] as const

type Asked = { session: Session; clear: boolean }

export function SessionsPage() {
  const asked = useRoute().query.get('view')
  const view = views.find(({ key }) => key === asked) ?? views[0]
  const path = `/v1/sessions${query({ ...view.filter, limit: 100, total: true })}`
  const { items, total, failure, loading, more, fetching, refetch } = usePages<Session>(path, {
    everyMs: FRESH_MS,
  })
  const [ending, setEnding] = useState<Asked | null>(null)
  const may = useMay('operator')
  return (
    <>
      <PageHeader title="Sessions" lead="What brokers noted within the last seconds, one for each device." />
      <Tabs
        label="Which sessions"
        tabs={views.map(one => ({
          to: one.key === null ? '/sessions' : `/sessions?view=${one.key}`,
          title: one.title,
          current: one === view,
        }))}
      />
      <FailureNotice failure={failure} refetch={refetch} />
      <Card
        title={view.title}
        flush
        aside={
          total === null ? undefined : `${total.exact ? '' : 'more than '}${many(total.count, 'session')}`
        }
      >
        <DataTable
          label="Sessions"
          layout="stacks"
          rows={items}
          rowKey={({ deviceId }) => deviceId}
          loading={loading}
          failure={failure}
          empty={<Empty icon="live" title="There is no session" />}
          columns={[
            {
              title: 'Device',
              rowHeader: true,
              cellClass: 'break',
              cell: ({ deviceId }) => <Link to={`/devices/${encodeURIComponent(deviceId)}`}>{deviceId}</Link>,
            },
            {
              title: 'State',
              className: 'tight',
              cell: ({ connected, kept }) => (
                <span className="row">
                  <Badge tone={connected ? 'good' : 'neutral'} dot>
                    {connected ? 'connected' : 'away'}
                  </Badge>
                  {kept ? <Badge>kept</Badge> : null}
                </span>
              ),
            },
            {
              title: 'Since',
              cell: ({ connected, connectedAt, disconnectedAt }) => (
                <Timestamp at={connected ? connectedAt : disconnectedAt} />
              ),
            },
            { title: 'Waiting', className: 'end', cell: session => count(session.messagesWaiting) },
            {
              title: 'From',
              cellClass: 'break',
              cell: ({ address, protocol }) => (
                <>
                  {address ?? '–'}{' '}
                  {protocol === null ? null : <span className="faint small">MQTT {protocol}</span>}
                </>
              ),
            },
            { title: 'Broker', className: 'wide-only', cell: ({ node }) => node ?? '–' },
            may
              ? {
                  title: <span className="hidden-from-sight">Actions</span>,
                  className: 'tight',
                  cell: session => (
                    <div className="row">
                      {session.connected ? (
                        <Button small onClick={() => setEnding({ session, clear: false })}>
                          End…
                        </Button>
                      ) : null}
                      <Button small look="danger" onClick={() => setEnding({ session, clear: true })}>
                        Clear…
                      </Button>
                    </div>
                  ),
                }
              : null,
          ]}
        />
        <ShowMore more={more} busy={fetching} />
      </Card>
      {ending === null ? null : <EndSession {...ending} onDone={refetch} onClose={() => setEnding(null)} />}
    </>
  )
}

function EndSession({
  session: { deviceId, messagesWaiting },
  clear,
  onDone,
  onClose,
}: Asked & { onDone: () => void; onClose: () => void }) {
  const act = () =>
    change<Receipt>(
      'POST',
      `/v1/devices/${encodeURIComponent(deviceId)}/sessions/kick`,
      clear ? { clear } : {},
    )
  return (
    <Confirmation<TimedReceipt>
      title={`${clear ? 'Clear' : 'End'} the session of ${deviceId}`}
      word={clear ? deviceId : null}
      verb={clear ? 'Clear' : 'End'}
      danger={clear}
      act={() => timed(act)}
      onDone={onDone}
      onClose={onClose}
      result={first => <ReceiptView first={first} refetch={act} />}
    >
      <p className="soft">
        It keeps its right and may connect again at once. Its will is sent.
        {clear
          ? ` What is stored goes: subscriptions, ${many(messagesWaiting, 'waiting message')}, unfinished exchanges.`
          : ' What waits for it is kept.'}
      </p>
    </Confirmation>
  )
}
