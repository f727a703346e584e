// What policies denied to this device: topic, action and the statement that decided, each with the question filled in.
import type { Denial, Explanation } from '../../../client/types.ts'
import type { Query } from '../../api/use-query.ts'
import { Card } from '../../components/card.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count } from '../../labels/formats.ts'
import { verdictLabels } from '../../labels/reasons.ts'
import { Link } from '../../routing/link.tsx'

const titles = {
  publish: 'Publish denied',
  subscribe: 'Subscription denied',
  will: 'Will denied',
} as const

export function DenialsCard({ id, answer: { data } }: { id: string; answer: Query<Explanation> }) {
  const denials = data?.denials ?? []
  if (denials.length === 0) return null
  return (
    <Card title="Denied by its policies" flush>
      <ul className="list">
        {denials.map(denial => (
          <li key={`${denial.action} ${denial.topic}`} className="stack tight">
            <div className="row apart">
              <strong>{titles[denial.action]}</strong>
              <span className="faint small">
                <Timestamp at={denial.at} />
                {denial.count > 1 ? ` · ${count(denial.count)} times` : ''}
              </span>
            </div>
            <p className="small break">
              <code>{denial.topic}</code>
              {denial.action === 'subscribe' ? '' : `, QoS ${denial.qos}`}
              {denial.retain ? ', retained' : ''}
            </p>
            <p className="soft small">
              <Why denial={denial} />
            </p>
            <p className="small">
              <Link to={question(id, denial)}>May it {denial.action} there now?</Link>
              <span className="faint"> · from {denial.address}</span>
            </p>
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Why({ denial: { verdict, decidedBy } }: { denial: Denial }) {
  if (verdict === null) return 'The policies could not tell why.'
  return (
    <>
      {verdictLabels[verdict] ?? verdict}
      {decidedBy === null ? null : (
        <>
          {' '}
          Decided by <Link to={`/policies/${encodeURIComponent(decidedBy.policy)}`}>{decidedBy.policy}</Link>,
          statement {decidedBy.statement + 1}: <code>{decidedBy.topic}</code>.
        </>
      )}
    </>
  )
}

function question(id: string, { action, topic, qos, retain }: Denial): string {
  const asked = new URLSearchParams({
    view: 'policy',
    action,
    topic,
    qos: String(qos),
    retain: String(retain),
  })
  return `/devices/${encodeURIComponent(id)}?${asked}`
}
