// What the device may: every statement that binds it with its variables filled in, and a place to try a topic.
import type { EffectivePolicy } from '../../../client/policy-types.ts'
import type { ListedDevice } from '../../api/response-types.ts'
import { useGroup, useMay } from '../../api/session.tsx'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
import { Link } from '../../routing/link.tsx'
import { PolicyTester } from './policy-tester.tsx'
import { TryCard } from './try-card.tsx'

export function PolicyView({ device }: { device: ListedDevice }) {
  const path = `/v1/devices/${encodeURIComponent(device.id)}/policy`
  const { data, failure, loading, refetch } = useQuery<EffectivePolicy>(path)
  const group = useGroup()
  const may = useMay('operator')
  return (
    <>
      <FailureNotice failure={failure} refetch={refetch} />
      {loading ? <Skeleton lines={6} /> : null}
      {data === null ? null : (
        <>
          {data.refused === null ? null : (
            <Notice tone="bad" title="All rights are taken away.">
              <p className="small">
                Policy {data.refused.policy}, statement {data.refused.statement + 1} denies{' '}
                <code>{data.refused.topic}</code>, and the device has no value for a variable in it.
              </p>
            </Notice>
          )}
          {group === null && data.policies.length > 0 ? (
            <PolicyTester deviceId={device.id} policy={data.policies[0]!.name} />
          ) : null}
          {may ? <TryCard id={device.id} /> : null}
          <Card title="Statements that bind it" aside="a deny wins; what nothing allows is refused" flush>
            {data.statements.length === 0 ? (
              <Empty icon="policies" title="Nothing is allowed">
                <p>No policy holds for this device: it may connect, and neither publish nor subscribe.</p>
              </Empty>
            ) : (
              <>
                <Statements data={data} linked={group === null} />
                {data.limits.sessionExpiryMaxSeconds === null ? null : (
                  <p className="faint small">
                    Its session outlives its connection by {data.limits.sessionExpiryMaxSeconds} s at most.
                  </p>
                )}
              </>
            )}
          </Card>
        </>
      )}
    </>
  )
}

function Statements({ data, linked }: { data: EffectivePolicy; linked: boolean }) {
  const through = new Map(
    data.policies.map(policy => [
      policy.name,
      policy.through
        .map(({ kind, target }) => (kind === 'everyone' ? 'everyone' : `${kind} ${target.slice(0, 24)}`))
        .join(', '),
    ]),
  )
  return (
    <TableFrame label="Statements">
      <table>
        <thead>
          <tr>
            <th className="tight">Effect</th>
            <th>Actions</th>
            <th>Topics, as they hold here</th>
            <th>Policy</th>
          </tr>
        </thead>
        <tbody>
          {data.statements.map(statement => (
            <tr key={`${statement.policy} ${statement.statement}`}>
              <td className="tight">
                <Badge tone={statement.effect === 'allow' ? 'good' : 'bad'}>{statement.effect}</Badge>
              </td>
              <td>
                {statement.actions.join(', ')}
                {statement.qosMax < 2 ? (
                  <div className="faint small">QoS up to {statement.qosMax}</div>
                ) : null}
              </td>
              <td>
                {statement.topics.map(topic => (
                  <div key={topic.written}>
                    {topic.bound === null ? (
                      <span className="faint">
                        <code>{topic.written}</code> (void: no value for {topic.missing.join(', ')})
                      </span>
                    ) : (
                      <code className="break">{topic.bound}</code>
                    )}
                  </div>
                ))}
              </td>
              <td>
                {linked ? (
                  <Link to={`/policies/${encodeURIComponent(statement.policy)}`}>{statement.policy}</Link>
                ) : (
                  statement.policy
                )}
                <div className="faint small">{through.get(statement.policy)}</div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableFrame>
  )
}
