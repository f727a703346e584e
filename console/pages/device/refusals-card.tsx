// The last times that this device was turned away: when, from where, why, and what to do about it.
import type { Explanation } from '../../../client/types.ts'
import type { Query } from '../../api/use-query.ts'
import { Card } from '../../components/card.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count } from '../../labels/formats.ts'
import { reasonLabel } from '../../labels/reasons.ts'

export function RefusalsCard({ answer: { data, loading } }: { answer: Query<Explanation> }) {
  return (
    <Card title="Last refusals" flush>
      {loading ? <Skeleton /> : null}
      {data !== null && data.refusals.length === 0 ? (
        <Empty icon="check" title="It was never refused">
          <p>Where a broker turns it away, the reason stands here, and what to do.</p>
        </Empty>
      ) : null}
      {data === null || data.refusals.length === 0 ? null : (
        <ul className="list">
          {data.refusals.map(refusal => {
            const { title, hint } = reasonLabel(refusal.reason)
            return (
              <li key={`${refusal.at} ${refusal.reason} ${refusal.fingerprint}`} className="stack tight">
                <div className="row apart">
                  <strong>{title}</strong>
                  <span className="faint small">
                    <Timestamp at={refusal.at} />
                    {refusal.count > 1 ? ` · ${count(refusal.count)} times` : ''}
                  </span>
                </div>
                {hint === '' ? null : <p className="soft small">{hint}</p>}
                <p className="faint small">
                  <code>{refusal.reason}</code>
                  {refusal.mqtt5 === null ? '' : ` · ${refusal.mqtt5} by MQTT 5`}
                  {refusal.address ? ` · from ${refusal.address}` : ''}
                  {refusal.fingerprint ? ` · certificate ${refusal.fingerprint.slice(0, 12)}…` : ''}
                </p>
              </li>
            )
          })}
        </ul>
      )}
    </Card>
  )
}
