// The last events of a device: when it came, went, was refused or changed.
import type { Page } from '../../../client/types.ts'
import type { EventRow } from '../../api/shapes.ts'
import { useAnswer } from '../../api/use-answer.ts'
import { Badge } from '../../parts/badge.tsx'
import { Card } from '../../parts/card.tsx'
import { Skeleton } from '../../parts/empty.tsx'
import { Moment } from '../../parts/moment.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { Link } from '../../routing/link.tsx'
import { eventTone, toldOf } from '../../words/events.ts'

const FRESH_MS = 3_000
const SHOWN = 8

export function EventsCard({ id }: { id: string }) {
  const path = `/v1/events?device=${encodeURIComponent(id)}&limit=${SHOWN}`
  const { data, failure, waiting } = useAnswer<Page<EventRow>>(path, { everyMs: FRESH_MS })
  return (
    <Card title="Events" aside={<Link to={`/live?device=${encodeURIComponent(id)}`}>follow them</Link>}>
      <FailureNotice failure={failure} />
      {waiting ? <Skeleton /> : null}
      {data !== null && data.items.length === 0 ? <p className="faint small">Nothing happened yet.</p> : null}
      {data === null || data.items.length === 0 ? null : (
        <ul className="list">
          {data.items.map(event => (
            <li key={event.seq} className="stack tight">
              <span className="row apart">
                <Badge tone={eventTone(event.kind)}>{event.kind}</Badge>
                <span className="faint small">
                  <Moment at={event.at} />
                </span>
              </span>
              <span className="soft small break">{toldOf(event)}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}
