// Certificates that wait for approval: the device, its key, and the two answers.
import { useState } from 'react'
import type { Certificate } from '../../../client/types.ts'
import { keyName } from '../../../pki/key-policy.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { many } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'
import { type CertificateVerb, TransitionDialog } from '../device/transition-dialog.tsx'

const FRESH_MS = 5_000

export function ApprovalsPage() {
  const { items, failure, loading, more, fetching, refetch } = usePages<Certificate>(
    '/v1/certificates?status=pending&limit=100',
    { everyMs: FRESH_MS },
  )
  const [asked, setAsked] = useState<{ verb: CertificateVerb; certificate: Certificate } | null>(null)
  const may = useMay('operator')
  return (
    <>
      <PageHeader
        title="Approvals"
        lead="Devices that enrolled with a token, claim or trust anchor that asks for approval. They are let in by nobody until somebody says yes, and forgotten after 7 days."
      />
      <FailureNotice failure={failure} refetch={refetch} />
      <Card title="Waiting" flush aside={items.length > 0 ? many(items.length, 'certificate') : undefined}>
        <DataTable
          label="Certificates that wait"
          rows={items}
          rowKey={({ fingerprint }) => fingerprint}
          loading={loading}
          skeletonLines={5}
          failure={failure}
          empty={
            <Empty icon="approvals" title="No devices are waiting">
              <p>
                Make a token that asks for approval under <Link to="/enroll?view=token">Enroll</Link>: what
                enrolls with it turns up here.
              </p>
            </Empty>
          }
          columns={[
            {
              title: 'Device',
              rowHeader: true,
              cell: ({ deviceId }) => <Link to={`/devices/${encodeURIComponent(deviceId)}`}>{deviceId}</Link>,
            },
            { title: 'Certificate', cell: ({ fingerprint }) => <Fingerprint of={fingerprint} /> },
            { title: 'Key', cell: ({ keyType }) => keyName(keyType) },
            { title: 'Subject', cellClass: 'break', cell: ({ subject }) => subject.replaceAll('\n', ', ') },
            { title: 'Asked', className: 'tight', cell: ({ issuedAt }) => <Timestamp at={issuedAt} /> },
            may
              ? {
                  title: 'Answer',
                  className: 'tight',
                  cell: certificate => (
                    <div className="row">
                      <Button small look="primary" onClick={() => setAsked({ verb: 'approve', certificate })}>
                        Approve…
                      </Button>
                      <Button small look="danger" onClick={() => setAsked({ verb: 'reject', certificate })}>
                        Reject…
                      </Button>
                    </div>
                  ),
                }
              : null,
          ]}
        />
        <ShowMore more={more} busy={fetching} />
      </Card>
      {may ? null : <p className="faint small">Approving takes the role operator.</p>}
      {asked === null ? null : (
        <TransitionDialog {...asked} onChanged={refetch} onClose={() => setAsked(null)} />
      )}
    </>
  )
}
