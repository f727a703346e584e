// Certificates that wait for somebody to say yes: who wants in, with which key, and the two answers.
import { useState } from 'react'
import type { Certificate } from '../../../client/types.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../parts/button.tsx'
import { Card } from '../../parts/card.tsx'
import { Empty, Skeleton } from '../../parts/empty.tsx'
import { Fingerprint } from '../../parts/fingerprint.tsx'
import { Moment } from '../../parts/moment.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { PageHead } from '../../parts/page-head.tsx'
import { ShowMore } from '../../parts/show-more.tsx'
import { TableFrame } from '../../parts/table-frame.tsx'
import { Link } from '../../routing/link.tsx'
import { many } from '../../words/numbers.ts'
import { type CertificateVerb, MoveDialog } from '../device/move-dialog.tsx'

const FRESH_MS = 5_000

export function ApprovalsPage() {
  const { items, failure, waiting, more, fetching, again } = usePages<Certificate>(
    '/v1/certificates?status=pending&limit=100',
    { everyMs: FRESH_MS },
  )
  const [asked, setAsked] = useState<{ verb: CertificateVerb; certificate: Certificate } | null>(null)
  const may = useMay('operator')
  return (
    <>
      <PageHead
        title="Approvals"
        lead="Devices that enrolled with a token, claim or trust anchor that asks for approval. They are let in by nobody until somebody says yes, and forgotten after 7 days."
      />
      <FailureNotice failure={failure} again={again} />
      <Card title="Waiting" flush aside={items.length > 0 ? many(items.length, 'certificate') : undefined}>
        {waiting ? <Skeleton lines={5} /> : null}
        {!waiting && items.length === 0 && failure === null ? (
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
                      <Moment at={certificate.issuedAt} />
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
      {asked === null ? null : <MoveDialog {...asked} onChanged={again} onClose={() => setAsked(null)} />}
    </>
  )
}
