// One-time tokens: make one, see those that there are, end one. A token is shown once, here, and kept nowhere.
import { useState } from 'react'
import type { CreatedEnrollmentToken, EnrollmentToken } from '../../../client/enrollment.ts'
import { change } from '../../api/request.ts'
import { usePages } from '../../api/use-pages.ts'
import { StateBadge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { Link } from '../../routing/link.tsx'
import { CreatedSecretView, secretOf } from './created-secret-view.tsx'
import { CreatedTokenView } from './created-token-view.tsx'
import { TokenForm } from './token-form.tsx'

export function TokenView() {
  const { items, failure, loading, more, fetching, refetch } = usePages<EnrollmentToken>(
    '/v1/enrollment-tokens?limit=50',
  )
  const newest = items.toSorted((one, other) => other.createdAt.localeCompare(one.createdAt))
  const [made, setMade] = useState<CreatedEnrollmentToken | null>(null)
  const secret = made === null ? null : secretOf(made)
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
      ) : secret === null ? (
        <CreatedTokenView made={made} onClose={() => setMade(null)} />
      ) : (
        <CreatedSecretView made={made} of={secret} onClose={() => setMade(null)} />
      )}
      <FailureNotice failure={failure} refetch={refetch} />
      <Card title="Tokens" flush>
        <DataTable
          label="Tokens"
          layout="fits"
          rows={newest}
          rowKey={token => token.id}
          loading={loading}
          failure={failure}
          empty={
            <Empty icon="key" title="No token was made yet">
              <p>
                A token enrolls one device, once. It is fit for devices that somebody installs one by one.
              </p>
            </Empty>
          }
          columns={[
            {
              title: 'For',
              rowHeader: true,
              cell: token => (
                <>
                  {token.deviceId ?? `a new device of ${token.group}`}
                  {token.approval ? <div className="faint small">with approval</div> : null}
                </>
              ),
            },
            { title: 'Status', className: 'tight', cell: token => <StateBadge state={token.status} /> },
            {
              title: 'Made',
              className: 'wide-only',
              cell: token => (
                <>
                  <Timestamp at={token.createdAt} /> <span className="faint">by {token.createdBy}</span>
                </>
              ),
            },
            { title: 'Ends', cell: token => <Timestamp at={token.expiresAt} /> },
            {
              title: 'Used by',
              className: 'wide-only',
              cell: ({ usedBy }) =>
                usedBy === null ? (
                  <span className="faint">–</span>
                ) : (
                  <Link to={`/devices/${encodeURIComponent(usedBy)}`}>{usedBy}</Link>
                ),
            },
            {
              title: <span className="hidden-from-sight">Actions</span>,
              className: 'tight',
              cell: token =>
                token.status === 'open' ? (
                  <Button small look="danger" onClick={() => setRevoking(token)}>
                    Revoke…
                  </Button>
                ) : null,
            },
          ]}
        />
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
            The holder of the token for {revoking.deviceId ?? `the group ${revoking.group}`} can enroll with
            it no more. What was enrolled stays.
          </p>
        </Confirmation>
      )}
    </>
  )
}
