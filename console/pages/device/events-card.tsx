// The last events of a device: when it came, went, was refused or changed.

import type { FleetEvent } from '../../../client/events.ts'
import type { Page } from '../../../client/types.ts'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { describeEvent, eventTone } from '../../labels/events.ts'
import { Link } from '../../routing/link.tsx'

const FRESH_MS = 3_000
const SHOWN = 8

export function EventsCard({ id }: { id: string }) {
  const path = `/v1/events?device=${encodeURIComponent(id)}&limit=${SHOWN}`
  const { data, failure, loading } = useQuery<Page<FleetEvent>>(path, { everyMs: FRESH_MS })
  return (
    <Card title="Events" aside={<Link to={`/live?device=${encodeURIComponent(id)}`}>follow them</Link>}>
      <FailureNotice failure={failure} />
      {loading ? <Skeleton /> : null}
      {data !== null && data.items.length === 0 ? <p className="faint small">Nothing happened yet.</p> : null}
      {data === null || data.items.length === 0 ? null : (
        <ul className="list">
          {data.items.map(event => (
            <li key={event.seq} className="stack tight">
              <span className="row apart">
                <Badge tone={eventTone(event.kind)}>{event.kind}</Badge>
                <span className="faint small">
                  <Timestamp at={event.at} />
                </span>
              </span>
              <span className="soft small break">{describeEvent(event)}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}
