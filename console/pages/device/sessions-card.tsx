// The device's live sessions, as brokers noted them some seconds ago at most.
import type { LiveSession } from '../../api/response-types.ts'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { Link } from '../../routing/link.tsx'

const FRESH_MS = 3_000

export function SessionsCard({ id }: { id: string }) {
  const path = `/v1/devices/${encodeURIComponent(id)}/sessions`
  const { data, failure, loading, refetch } = useQuery<{ items: LiveSession[] }>(path, { everyMs: FRESH_MS })
  return (
    <Card
      title="Live session"
      aside={
        data !== null && data.items.length > 0 ? (
          <Badge tone="good" dot>
            connected
          </Badge>
        ) : undefined
      }
    >
      <FailureNotice failure={failure} refetch={refetch} />
      {loading ? <Skeleton /> : null}
      {data !== null && data.items.length === 0 ? (
        <Empty icon="live" title="Not connected">
          <p>
            As soon as it connects, its session stands here: since when, from where, and what it is subscribed
            to.
          </p>
        </Empty>
      ) : null}
      {data?.items.map(session => (
        <dl className="facts" key={`${session.node} ${session.clientId} ${session.since}`}>
          <dt>Connected</dt>
          <dd>
            <Timestamp at={session.since} /> from {session.address}
          </dd>
          <dt>Client ID</dt>
          <dd className="mono">{session.clientId}</dd>
          {session.username === null ? null : (
            <>
              <dt>Username</dt>
              <dd className="mono">{session.username} (ignored: the certificate identifies)</dd>
            </>
          )}
          <dt>Protocol</dt>
          <dd>
            {[
              session.protocol === null ? null : `MQTT ${session.protocol}`,
              session.transport === 'websocket' ? 'over WebSocket' : null,
              session.tlsVersion,
              session.cipher,
            ]
              .filter(Boolean)
              .join(', ')}
            {session.resumed ? ' (resumed)' : ''}
          </dd>
          <dt>Keep-alive</dt>
          <dd>
            {!session.keepAliveSeconds ? 'none' : `${session.keepAliveSeconds} s`},{' '}
            {session.clean ? 'clean session' : 'durable session'}
          </dd>
          <dt>Certificate</dt>
          <dd>
            <Fingerprint of={session.fingerprint} />
          </dd>
          <dt>Broker</dt>
          <dd>{session.node}</dd>
          <dt>Subscriptions</dt>
          <dd>
            {session.subscriptions.length === 0 ? <span className="faint">none</span> : null}
            <div className="tags">
              {session.subscriptions.map(filter => (
                <span className="tag mono" key={filter}>
                  {filter}
                </span>
              ))}
            </div>
          </dd>
        </dl>
      ))}
      <p className="small">
        <Link to={`/retained?device=${encodeURIComponent(id)}`}>What it has retained</Link>
      </p>
    </Card>
  )
}
