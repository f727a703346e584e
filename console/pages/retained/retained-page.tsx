// Retained messages: found by topic filter and device, and cleared, one or those that are chosen.
import { type FormEvent, useState } from 'react'
import type { ClearReceipt, RetainedMessage } from '../../../client/retained.ts'
import { change, query } from '../../api/request.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { TextField } from '../../components/text-field.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { bytes, many } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'
import { navigate, useRoute } from '../../routing/location.ts'

const FRESH_MS = 5_000
/** Of one call. */
const CHOSEN_MAX = 100

export function RetainedPage() {
  const route = useRoute()
  const filter = route.query.get('filter') ?? undefined
  const device = route.query.get('device') ?? undefined
  const path = `/v1/retained${query({ filter, device, limit: 100, total: true })}`
  const { items, total, failure, loading, more, fetching, refetch } = usePages<RetainedMessage>(path, {
    everyMs: FRESH_MS,
  })
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const [clearing, setClearing] = useState<string[] | null>(null)
  const may = useMay('operator')
  const shown = items.filter(({ topic }) => chosen.has(topic)).map(({ topic }) => topic)

  const toggle = (topic: string) => {
    const next = new Set(chosen)
    if (!next.delete(topic)) next.add(topic)
    setChosen(next)
  }
  return (
    <>
      <PageHeader
        title="Retained messages"
        lead="The last message of a topic that was published to be kept: each new subscriber is sent it. As the broker noted them within the last second."
      />
      <Filters key={`${filter} ${device}`} filter={filter ?? ''} device={device ?? ''} />
      <FailureNotice failure={failure} refetch={refetch} />
      <Card
        title="Messages"
        flush
        aside={
          <span className="row">
            {total === null ? null : `${total.exact ? '' : 'more than '}${many(total.count, 'message')}`}
            {may && shown.length > 0 ? (
              <Button
                small
                look="danger"
                disabled={shown.length > CHOSEN_MAX}
                onClick={() => setClearing(shown)}
              >
                Clear {many(shown.length, 'chosen message')}…
              </Button>
            ) : null}
          </span>
        }
      >
        <DataTable
          label="Retained messages"
          layout="stacks"
          rows={items}
          rowKey={({ topic }) => topic}
          loading={loading}
          failure={failure}
          empty={
            <Empty
              icon="retained"
              title={filter === undefined && device === undefined ? 'Nothing is retained' : 'Nothing matches'}
            />
          }
          columns={[
            may
              ? {
                  title: <span className="hidden-from-sight">Chosen</span>,
                  className: 'tight',
                  cell: ({ topic }) => (
                    <input
                      type="checkbox"
                      aria-label={`Choose ${topic}`}
                      checked={chosen.has(topic)}
                      onChange={() => toggle(topic)}
                    />
                  ),
                }
              : null,
            {
              title: 'Topic',
              rowHeader: true,
              cellClass: 'break mono',
              cell: ({ topic }) => topic,
            },
            {
              title: 'Published by',
              cellClass: 'break',
              cell: ({ deviceId }) =>
                deviceId === null ? (
                  'the broker'
                ) : (
                  <Link to={`/devices/${encodeURIComponent(deviceId)}`}>{deviceId}</Link>
                ),
            },
            { title: 'QoS', narrowTitle: 'QoS', className: 'end', cell: ({ qos }) => qos },
            {
              title: 'Payload',
              narrowTitle: 'Payload',
              className: 'end',
              cellClass: 'whole-line',
              cell: message => bytes(message.bytes),
            },
            {
              title: 'Retained',
              narrowTitle: 'Retained',
              cellClass: 'whole-line',
              cell: ({ retainedAt, expiresAt }) => (
                <>
                  {retainedAt === null ? 'not known' : <Timestamp at={retainedAt} />}
                  {expiresAt === null ? null : (
                    <div className="faint small">
                      until <Timestamp at={expiresAt} />
                    </div>
                  )}
                </>
              ),
            },
            may
              ? {
                  title: <span className="hidden-from-sight">Actions</span>,
                  className: 'tight',
                  cell: ({ topic }) => (
                    <Button small look="danger" onClick={() => setClearing([topic])}>
                      Clear…
                    </Button>
                  ),
                }
              : null,
          ]}
        />
        <ShowMore more={more} busy={fetching} />
      </Card>
      {clearing === null ? null : (
        <Clear
          topics={clearing}
          onDone={() => {
            setChosen(new Set())
            refetch()
          }}
          onClose={() => setClearing(null)}
        />
      )}
    </>
  )
}

function Filters({ filter, device }: { filter: string; device: string }) {
  const [asked, setAsked] = useState({ filter, device })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const given = { filter: asked.filter.trim() || undefined, device: asked.device.trim() || undefined }
    navigate(`/retained${query(given)}`)
  }
  return (
    <form className="filters" onSubmit={submit}>
      <TextField
        label="Topic filter"
        value={asked.filter}
        placeholder="devices/+/state"
        onValue={value => setAsked({ ...asked, filter: value })}
      />
      <TextField
        label="Published by device"
        maxLength={128}
        value={asked.device}
        onValue={value => setAsked({ ...asked, device: value })}
      />
      <Button type="submit">Find</Button>
    </form>
  )
}

function Clear({
  topics,
  onDone,
  onClose,
}: {
  topics: readonly string[]
  onDone: () => void
  onClose: () => void
}) {
  const act = () => change<ClearReceipt>('POST', '/v1/retained/clear', { topics })
  const [only] = topics
  return (
    <Confirmation<ClearReceipt>
      title={topics.length === 1 ? `Clear ${only}` : `Clear ${many(topics.length, 'retained message')}`}
      word={topics.length === 1 ? null : `clear ${topics.length}`}
      verb="Clear"
      act={act}
      onDone={onDone}
      onClose={onClose}
      result={receipt => <Cleared receipt={receipt} />}
    >
      <p className="soft">
        Later subscribers are sent nothing; those of now are not told. What is published meanwhile stays, and
        a device that publishes again retains again.
      </p>
    </Confirmation>
  )
}

function Cleared({ receipt }: { receipt: ClearReceipt }) {
  const { topics, nodesTotal, nodesAcknowledged, unreachable } = receipt
  return (
    <div className="stack tight" role="status">
      <strong>{many(topics.length, 'retained message')} cleared</strong>
      <p className="soft">
        {nodesTotal === 0
          ? 'No broker is running: the next one that starts clears before it admits anybody.'
          : `${nodesAcknowledged} of ${many(nodesTotal, 'broker')} acknowledged.`}
        {unreachable.length === 0
          ? ''
          : ` ${unreachable.join(', ')} clears as soon as the registry can be read there.`}
      </p>
    </div>
  )
}
