// Certificates that wait for somebody to say yes: who wants in, with which key, and the two answers.
import { useState } from 'react'
import type { Certificate } from '../../../client/types.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
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
        {loading ? <Skeleton lines={5} /> : null}
        {!loading && items.length === 0 && failure === null ? (
          <Empty icon="approvals" title="Nobody is waiting">
            <p>
              Make a token that asks for approval under <Link to="/enroll?view=token">Enroll</Link>: what
              enrolls with it turns up here.
            </p>
          </Empty>
        ) : null}
        {items.length === 0 ? null : (
          <TableFrame label="Certificates that wait">
            <table>
              <thead>
                <tr>
                  <th>Device</th>
                  <th>Certificate</th>
                  <th>Key</th>
                  <th>Subject</th>
                  <th className="tight">Asked</th>
                  {may ? <th className="tight">Answer</th> : null}
                </tr>
              </thead>
              <tbody>
                {items.map(certificate => (
                  <tr key={certificate.fingerprint}>
                    <th scope="row">
                      <Link to={`/devices/${encodeURIComponent(certificate.deviceId)}`}>
                        {certificate.deviceId}
                      </Link>
                    </th>
                    <td>
                      <Fingerprint of={certificate.fingerprint} />
                    </td>
                    <td>{certificate.keyType}</td>
                    <td className="break">{certificate.subject.replaceAll('\n', ', ')}</td>
                    <td className="tight">
                      <Timestamp at={certificate.issuedAt} />
                    </td>
                    {may ? (
                      <td className="tight">
                        <div className="row">
                          <Button
                            small
                            look="primary"
                            onClick={() => setAsked({ verb: 'approve', certificate })}
                          >
                            Approve…
                          </Button>
                          <Button
                            small
                            look="danger"
                            onClick={() => setAsked({ verb: 'reject', certificate })}
                          >
                            Reject…
                          </Button>
                        </div>
                      </td>
                    ) : null}
                  </tr>
                ))}
              </tbody>
            </table>
          </TableFrame>
        )}
        <ShowMore more={more} busy={fetching} />
      </Card>
      {may ? null : <p className="faint small">Approving takes the role operator.</p>}
      {asked === null ? null : (
        <TransitionDialog {...asked} onChanged={refetch} onClose={() => setAsked(null)} />
      )}
    </>
  )
}
