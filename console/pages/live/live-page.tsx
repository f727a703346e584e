// Admissions, refusals and changes as they happen.
import { useCallback, useState } from 'react'
import type { FleetEvent } from '../../../client/events.ts'
import type { Page } from '../../../client/types.ts'
import { query } from '../../api/request.ts'
import { useEventStream } from '../../api/use-event-stream.ts'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { TextField } from '../../components/text-field.tsx'
import { eventKinds } from '../../labels/events.ts'
import { navigate, useRoute, withQuery } from '../../routing/location.ts'
import { EventTable } from './event-table.tsx'

const ROWS_MAX = 300
const EARLIER = 50

export function LivePage() {
  const route = useRoute()
  const kind = route.query.get('kind')
  const device = route.query.get('device')
  const [typed, setTyped] = useState(device ?? '')
  const [paused, setPaused] = useState(false)
  const [news, setNews] = useState<{ under: string; rows: FleetEvent[] }>({ under: '', rows: [] })
  const filter = query({ kind, device })
  const earlier = useQuery<Page<FleetEvent>>(`/v1/events${query({ kind, device, limit: EARLIER })}`)
  const take = useCallback(
    (row: FleetEvent) =>
      setNews(({ under, rows }) => ({
        under: filter,
        rows: [row, ...(under === filter ? rows : [])].slice(0, ROWS_MAX),
      })),
    [filter],
  )
  const state = useEventStream(paused ? null : `/v1/events/stream${filter}`, eventKinds, take)
  const fresh = news.under === filter ? news.rows : []
  const seen = new Set(fresh.map(({ seq }) => seq))
  const rows = [...fresh, ...(earlier.data?.items ?? []).filter(({ seq }) => !seen.has(seq))].slice(
    0,
    ROWS_MAX,
  )
  return (
    <>
      <PageHeader
        title="Live feed"
        badges={
          paused ? (
            <Badge tone="warn">paused</Badge>
          ) : state === 'open' ? (
            <Badge tone="good" dot>
              live
            </Badge>
          ) : (
            <Badge tone="neutral">connecting…</Badge>
          )
        }
        actions={
          <Button icon={paused ? 'play' : 'pause'} onClick={() => setPaused(!paused)}>
            {paused ? 'Go on' : 'Pause'}
          </Button>
        }
      />
      <form
        className="filters"
        aria-label="Filters"
        onSubmit={event => {
          event.preventDefault()
          navigate(withQuery(route, { device: typed.trim() }), { replace: true })
        }}
      >
        <Field label="Kind">
          {link => (
            <select
              {...link}
              value={kind ?? ''}
              onChange={event => navigate(withQuery(route, { kind: event.target.value }), { replace: true })}
            >
              <option value="">all</option>
              {eventKinds.map(known => (
                <option key={known}>{known}</option>
              ))}
            </select>
          )}
        </Field>
        <TextField label="Device" placeholder="any" maxLength={128} value={typed} onValue={setTyped} />
        <Button type="submit">Apply</Button>
      </form>
      <FailureNotice failure={earlier.failure} refetch={earlier.refetch} />
      <Card title="Events" aside="newest first" flush>
        {rows.length === 0 ? (
          <Empty icon="live" title="Quiet">
            <p>
              Connections, refusals, enrollments and revocations appear here at once. Leave the page open.
            </p>
          </Empty>
        ) : (
          <EventTable rows={rows} />
        )}
      </Card>
    </>
  )
}
