// The last times that this device was turned away: when, from where, why, and what to do about it.
import type { Explanation } from '../../../client/types.ts'
import type { Answered } from '../../api/use-answer.ts'
import { Card } from '../../parts/card.tsx'
import { Empty, Skeleton } from '../../parts/empty.tsx'
import { Moment } from '../../parts/moment.tsx'
import { count } from '../../words/numbers.ts'
import { reasonOf } from '../../words/reasons.ts'

export function RefusalsCard({ answer: { data, waiting } }: { answer: Answered<Explanation> }) {
  return (
    <Card title="Last refusals" flush>
      {waiting ? <Skeleton /> : null}
      {data !== null && data.refusals.length === 0 ? (
        <Empty icon="check" title="It was never refused">
          <p>Where a broker turns it away, the reason stands here, and what to do.</p>
        </Empty>
      ) : null}
      {data === null || data.refusals.length === 0 ? null : (
        <ul className="list">
          {data.refusals.map(refusal => {
            const { title, hint } = reasonOf(refusal.reason)
            return (
              <li key={`${refusal.at} ${refusal.reason} ${refusal.fingerprint}`} className="stack tight">
                <div className="row apart">
                  <strong>{title}</strong>
                  <span className="faint small">
                    <Moment at={refusal.at} />
                    {refusal.count > 1 ? ` · ${count(refusal.count)} times` : ''}
                  </span>
                </div>
                {hint === '' ? null : <p className="soft small">{hint}</p>}
                <p className="faint small">
                  <code>{refusal.reason}</code>
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
