// Claims: certificates for a batch of devices that may only enroll. Made here, handed to the maker of the batch, revoked as one.
import { useState } from 'react'
import type { Claim, ClaimWithPem } from '../../../client/enrollment.ts'
import { change } from '../../api/request.ts'
import { usePages } from '../../api/use-pages.ts'
import { StateBadge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { SaveButton } from '../../components/save-button.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { TextBlock } from '../../components/text-block.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count } from '../../labels/formats.ts'
import { ClaimForm } from './claim-form.tsx'

export function ClaimsView() {
  const { items, failure, loading, more, fetching, refetch } = usePages<Claim>('/v1/claims?limit=50')
  const [made, setMade] = useState<ClaimWithPem | null>(null)
  const [revoking, setRevoking] = useState<Claim | null>(null)
  return (
    <>
      {made === null ? (
        <ClaimForm
          onMade={claim => {
            setMade(claim)
            refetch()
          }}
        />
      ) : (
        <MadeClaim claim={made} onClose={() => setMade(null)} />
      )}
      <FailureNotice failure={failure} refetch={refetch} />
      <Card title="Claims" flush>
        <DataTable
          label="Claims"
          layout="stacks"
          rows={items.toSorted((one, other) => other.createdAt.localeCompare(one.createdAt))}
          rowKey={({ id }) => id}
          loading={loading}
          failure={failure}
          empty={
            <Empty icon="key" title="No claim was made yet">
              <p>
                A claim is one certificate for a whole batch: each device exchanges it for one of its own.
              </p>
            </Empty>
          }
          columns={[
            {
              title: 'Claim',
              rowHeader: true,
              cellClass: 'break',
              cell: ({ name, group, approval, allowlisted }) => (
                <>
                  {name}
                  <div className="faint small">
                    {[
                      group === null ? null : `into the group ${group}`,
                      approval ? 'with approval' : null,
                      allowlisted ? 'for listed devices alone' : null,
                    ]
                      .filter(Boolean)
                      .join(', ')}
                  </div>
                </>
              ),
            },
            { title: 'Status', className: 'tight', cell: ({ status }) => <StateBadge state={status} /> },
            {
              title: 'Devices',
              className: 'end',
              cell: ({ claimed, quota }) => `${count(claimed)} of ${count(quota)}`,
            },
            {
              title: 'Made',
              cell: ({ createdAt, createdBy }) => (
                <>
                  <Timestamp at={createdAt} /> <span className="faint break">by {createdBy}</span>
                </>
              ),
            },
            { title: 'Ends', cell: ({ notAfter }) => <Timestamp at={notAfter} /> },
            {
              title: <span className="hidden-from-sight">Actions</span>,
              className: 'tight',
              cell: claim =>
                claim.status === 'open' ? (
                  <Button small look="danger" onClick={() => setRevoking(claim)}>
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
          title={`Revoke the claim ${revoking.name}`}
          word={revoking.name}
          verb="Revoke"
          act={() => change('POST', `/v1/claims/${encodeURIComponent(revoking.id)}/revoke`)}
          onDone={refetch}
          onClose={() => setRevoking(null)}
        >
          <p className="soft">
            No device of the batch can enroll with it any more. The {count(revoking.claimed)} that have, stay.
          </p>
        </Confirmation>
      )}
    </>
  )
}

function MadeClaim({ claim, onClose }: { claim: ClaimWithPem; onClose: () => void }) {
  const pem = [claim.certificate ?? '', ...claim.chain].join('')
  return (
    <Card
      title={`The claim ${claim.name}`}
      aside={
        <SaveButton name={`${claim.name}.crt`} text={pem}>
          {claim.name}.crt
        </SaveButton>
      }
    >
      <p className="soft small">
        Hand it, with the key of its request, to the maker of the batch. It opens no connection: it enrolls{' '}
        {count(claim.quota)} devices at most.
      </p>
      <TextBlock label="Certificate and chain" text={pem} low />
      <div className="row">
        <Button onClick={onClose}>Make another</Button>
      </div>
    </Card>
  )
}
