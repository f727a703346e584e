// One-time tokens: make one, see those that there are, end one. A token is shown once, here, and kept nowhere.
import { useState } from 'react'
import type { CreatedEnrollmentToken, EnrollmentToken } from '../../../client/enrollment.ts'
import { change } from '../../api/request.ts'
import { usePages } from '../../api/use-pages.ts'
import { StateBadge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { Link } from '../../routing/link.tsx'
import { CreatedTokenView } from './created-token-view.tsx'
import { TokenForm } from './token-form.tsx'

export function TokenView() {
  const { items, failure, loading, more, fetching, refetch } = usePages<EnrollmentToken>(
    '/v1/enrollment-tokens?limit=50',
  )
  const newest = items.toSorted((one, other) => other.createdAt.localeCompare(one.createdAt))
  const [made, setMade] = useState<CreatedEnrollmentToken | null>(null)
  const [revoking, setRevoking] = useState<EnrollmentToken | null>(null)
  return (
    <>
      {made === null ? (
        <TokenForm
          onMade={token => {
            setMade(token)
            refetch()
          }}
        />
      ) : (
        <CreatedTokenView made={made} onClose={() => setMade(null)} />
      )}
      <FailureNotice failure={failure} refetch={refetch} />
      <Card title="Tokens" flush>
        {loading ? <Skeleton /> : null}
        {!loading && items.length === 0 && failure === null ? (
          <Empty icon="key" title="No token was made yet">
            <p>A token enrolls one device, once. It is fit for devices that somebody installs one by one.</p>
          </Empty>
        ) : null}
        {items.length === 0 ? null : (
          <TableFrame label="Tokens">
            <table className="fits">
              <thead>
                <tr>
                  <th>For</th>
                  <th className="tight">Status</th>
                  <th className="wide-only">Made</th>
                  <th>Ends</th>
                  <th className="wide-only">Used by</th>
                  <th className="tight">
                    <span className="hidden-from-sight">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {newest.map(token => (
                  <tr key={token.id}>
                    <th scope="row">
                      {token.deviceId ?? `a new device of ${token.group}`}
                      {token.approval ? <div className="faint small">with approval</div> : null}
                    </th>
                    <td className="tight">
                      <StateBadge state={token.status} />
                    </td>
                    <td className="wide-only">
                      <Timestamp at={token.createdAt} /> <span className="faint">by {token.createdBy}</span>
                    </td>
                    <td>
                      <Timestamp at={token.expiresAt} />
                    </td>
                    <td className="wide-only">
                      {token.usedBy === null ? (
                        <span className="faint">–</span>
                      ) : (
                        <Link to={`/devices/${encodeURIComponent(token.usedBy)}`}>{token.usedBy}</Link>
                      )}
                    </td>
                    <td className="tight">
                      {token.status === 'open' ? (
                        <Button small look="danger" onClick={() => setRevoking(token)}>
                          Revoke…
                        </Button>
                      ) : null}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </TableFrame>
        )}
        <ShowMore more={more} busy={fetching} />
      </Card>
      {revoking === null ? null : (
        <Confirmation
          title="Revoke the token"
          word={null}
          verb="Revoke"
          act={() => change('POST', `/v1/enrollment-tokens/${encodeURIComponent(revoking.id)}/revoke`)}
          onDone={refetch}
          onClose={() => setRevoking(null)}
        >
          <p className="soft">
            Whoever holds the token for {revoking.deviceId ?? `the group ${revoking.group}`} can enroll with
            it no more. What was enrolled stays.
          </p>
        </Confirmation>
      )}
    </>
  )
}
