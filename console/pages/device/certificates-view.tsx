// The certificates of a device, on a line of time and one by one, with what can be done with each.
import { useState } from 'react'
import type { Certificate } from '../../../client/types.ts'
import { keyName } from '../../../pki/key-policy.ts'
import type { ListedDevice } from '../../api/response-types.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { StateBadge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { statusLabels } from '../../labels/reasons.ts'
import { Link } from '../../routing/link.tsx'
import { CertificateTimeline } from './certificate-timeline.tsx'
import { type CertificateVerb, TransitionDialog } from './transition-dialog.tsx'

const verbsOf: Record<string, readonly CertificateVerb[]> = {
  pending: ['approve', 'reject'],
  issued: ['suspend', 'revoke'],
  active: ['suspend', 'revoke'],
  superseded: ['revoke'],
  suspended: ['activate', 'revoke'],
}

export function CertificatesView({ device, onChanged }: { device: ListedDevice; onChanged: () => void }) {
  const path = `/v1/certificates?deviceId=${encodeURIComponent(device.id)}&limit=100`
  const { items, failure, loading, more, refetch } = usePages<Certificate>(path)
  const [asked, setAsked] = useState<{ verb: CertificateVerb; certificate: Certificate } | null>(null)
  const mayEnroll = useMay('enroller') && device.state !== 'decommissioned'
  const newest = items.toSorted((one, other) => other.issuedAt.localeCompare(one.issuedAt))
  const changed = () => {
    refetch()
    onChanged()
  }
  return (
    <>
      <FailureNotice failure={failure} refetch={refetch} />
      {newest.length > 0 ? (
        <Card title="Over time" aside="validity of each; what admits is in colour">
          <CertificateTimeline certificates={newest.slice(0, 12)} />
        </Card>
      ) : null}
      <Card
        title="Certificates"
        flush
        aside={
          mayEnroll ? (
            <Link className="button small" to={`/enroll?device=${encodeURIComponent(device.id)}`}>
              Enroll again
            </Link>
          ) : undefined
        }
      >
        {loading ? <Skeleton /> : null}
        {!loading && newest.length === 0 ? (
          <Empty icon="key" title="It has no certificate yet">
            <p>Without one it is a stranger: the broker cuts it after the handshake.</p>
          </Empty>
        ) : null}
        <ul className="list">
          {newest.map(certificate => (
            <li key={certificate.fingerprint}>
              <CertificateItem certificate={certificate} onAsk={verb => setAsked({ verb, certificate })} />
            </li>
          ))}
        </ul>
        <ShowMore more={more} />
      </Card>
      {asked === null ? null : (
        <TransitionDialog {...asked} onChanged={changed} onClose={() => setAsked(null)} />
      )}
    </>
  )
}

function CertificateItem({
  certificate,
  onAsk,
}: {
  certificate: Certificate
  onAsk: (verb: CertificateVerb) => void
}) {
  const may = useMay('operator')
  const { status } = certificate
  const verbs = may && Object.hasOwn(verbsOf, status) ? verbsOf[status]! : []
  const expired = Date.parse(certificate.notAfter) < Date.now()
  return (
    <div className="stack tight">
      <div className="row apart">
        <div className="row">
          <Fingerprint of={certificate.fingerprint} />
          <StateBadge state={status} />
          {expired ? <StateBadge state="expired" /> : null}
        </div>
        <div className="row">
          {verbs.map(verb => (
            <Button
              key={verb}
              small
              look={verb === 'revoke' || verb === 'reject' ? 'danger' : 'plain'}
              onClick={() => onAsk(verb)}
            >
              {verb.charAt(0).toUpperCase() + verb.slice(1)}…
            </Button>
          ))}
        </div>
      </div>
      <dl className="facts small">
        <dt>Standing</dt>
        <dd>
          {statusLabels[status]}
          {certificate.revocationReason === null ? '' : ` (${certificate.revocationReason})`}
          {certificate.revokedAt === null ? null : (
            <>
              {' '}
              <Timestamp at={certificate.revokedAt} />
            </>
          )}
        </dd>
        <dt>Subject</dt>
        <dd>{certificate.subject.replaceAll('\n', ', ')}</dd>
        <dt>Valid</dt>
        <dd>
          from <Timestamp at={certificate.notBefore} />, ends <Timestamp at={certificate.notAfter} />
          {certificate.graceUntil === null ? null : (
            <>
              , grace ends <Timestamp at={certificate.graceUntil} />
            </>
          )}
        </dd>
        <dt>Key and serial</dt>
        <dd>
          {keyName(certificate.keyType)}, <span className="mono break">{certificate.serialNumber}</span>
        </dd>
        <dt>Trust</dt>
        <dd>{certificate.trust === 'pinned' ? 'pinned: this very certificate' : 'through its chain'}</dd>
        <dt>First used</dt>
        <dd>
          <Timestamp at={certificate.firstUsedAt} />
        </dd>
      </dl>
    </div>
  )
}
