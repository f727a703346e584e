// Credentials of one kind: whose they are, what they may, when they were used last, when they end; to revoke.
import { useState } from 'react'
import type { ApiToken } from '../../../client/operators.ts'
import { change } from '../../api/request.ts'
import { useSession } from '../../api/session.tsx'
import type { Pages } from '../../api/use-pages.ts'
import { Badge, StateBadge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { Link } from '../../routing/link.tsx'

type Credential = Omit<ApiToken, 'id'>

export function CredentialsCard<Row extends Credential>({
  title,
  list,
  keyOf,
  fingerprintOf,
  revokePath,
}: {
  title: string
  list: Pages<Row>
  keyOf: (row: Row) => string
  fingerprintOf?: (row: Row) => string
  revokePath: (row: Row) => string
}) {
  const { operator } = useSession()
  const [revoking, setRevoking] = useState<Row | null>(null)
  const newest = list.items.toSorted(
    (one, other) => rank(one) - rank(other) || other.createdAt.localeCompare(one.createdAt),
  )
  return (
    <Card title={title} flush>
      <DataTable
        label={title}
        layout="stacks"
        rows={newest}
        rowKey={keyOf}
        loading={list.loading}
        failure={list.failure}
        empty={<Empty icon="key" title="There is none" />}
        columns={[
          {
            title: 'Name',
            rowHeader: true,
            cellClass: 'break',
            cell: row => (
              <>
                {row.name} {keyOf(row) === operator?.id ? <Badge tone="info">you</Badge> : null}
                {fingerprintOf === undefined ? null : (
                  <div>
                    <Fingerprint of={fingerprintOf(row)} />
                  </div>
                )}
              </>
            ),
          },
          {
            title: 'May',
            className: 'tight',
            cell: ({ role, group }) => (
              <>
                {role}
                {group === null ? null : <div className="faint small break">of the group {group}</div>}
              </>
            ),
          },
          { title: 'State', className: 'tight', cell: ({ state }) => <StateBadge state={state} /> },
          {
            title: 'Last used',
            cell: ({ lastUsedAt, lastUsedAddress }) => (
              <>
                <Timestamp at={lastUsedAt} />
                {lastUsedAddress === null ? null : (
                  <div className="faint small break">from {lastUsedAddress}</div>
                )}
              </>
            ),
          },
          {
            title: 'Made',
            cell: ({ createdAt, createdBy }) => (
              <>
                <Timestamp at={createdAt} /> <div className="faint small break">by {createdBy}</div>
              </>
            ),
          },
          {
            title: 'Ends',
            cell: ({ expiresAt, revokedAt }) =>
              revokedAt !== null ? (
                <>
                  revoked <Timestamp at={revokedAt} />
                </>
              ) : (
                <Timestamp at={expiresAt} />
              ),
          },
          {
            title: <span className="hidden-from-sight">Actions</span>,
            className: 'tight',
            cell: row =>
              row.state === 'accepted' ? (
                <Button small look="danger" onClick={() => setRevoking(row)}>
                  Revoke…
                </Button>
              ) : null,
          },
        ]}
      />
      <ShowMore more={list.more} busy={list.fetching} />
      {revoking === null ? null : (
        <Confirmation
          title={`Revoke ${revoking.name}`}
          word={revoking.name}
          verb="Revoke"
          act={() => change('POST', revokePath(revoking))}
          onDone={list.refetch}
          onClose={() => setRevoking(null)}
        >
          <p className="soft">
            It opens nothing any more from now on, for good. Its unused enrollment tokens and its imports end
            with it, and its webhooks are sent nothing until another admin enables them. Claims that it made
            stay, since devices may be built with them: look at <Link to="/enroll?view=claims">claims</Link>.
            {keyOf(revoking) === operator?.id ? ' You are signed in with it: this signs you out.' : ''}
          </p>
        </Confirmation>
      )}
    </Card>
  )
}

/** Those that are accepted come first. */
function rank({ state }: Credential): number {
  return state === 'accepted' ? 0 : 1
}
