// The TPM of a device: its manufacturer, what vouches for it, and which certificates hold a key that it proved.
import type { DeviceTpm } from '../../../client/tpm.ts'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Timestamp } from '../../components/timestamp.tsx'

const vouchers = {
  operator: 'an operator: its endorsement key is on record',
  maker: 'its manufacturer',
  token: 'an enrollment token alone',
  nobody: 'nobody: each certificate waits for approval',
} as const

/** Nothing where the device has no TPM, and had none. */
export function TpmCard({ id }: { id: string }) {
  const tpm = useQuery<DeviceTpm>(`/v1/devices/${encodeURIComponent(id)}/endorsement-key`)
  if (tpm.data === null) return <FailureNotice failure={tpm.failure} refetch={tpm.refetch} />
  const { endorsementKey: key, attestations } = tpm.data
  if (key === null && attestations.length === 0) return null
  return (
    <Card title="TPM">
      {key === null ? (
        <p className="faint">Its endorsement key was taken off the record.</p>
      ) : (
        <dl className="facts">
          <dt>Maker</dt>
          <dd>{key.maker ?? <span className="faint">not told</span>}</dd>
          <dt>Model</dt>
          <dd>
            {[key.model, key.version].filter(Boolean).join(', ') || <span className="faint">not told</span>}
          </dd>
          <dt>Endorsement key</dt>
          <dd className="mono">{key.sha256}</dd>
          <dt>Vouched for by</dt>
          <dd>{vouchers[key.vouchedBy]}</dd>
        </dl>
      )}
      {attestations.length > 0 ? <h3>Proven keys</h3> : null}
      <dl className="facts">
        {attestations.map(one => (
          <div className="pair" key={one.fingerprint}>
            <dt className="mono">{one.fingerprint.slice(0, 16)}…</dt>
            <dd>
              <Badge tone={one.attested ? 'good' : 'neutral'}>
                {one.attested ? 'attested' : 'not attested'}
              </Badge>{' '}
              <Timestamp at={one.provenAt} />{' '}
              <span className="faint small">{one.keyAttributes.join(' ')}</span>
            </dd>
          </div>
        ))}
      </dl>
    </Card>
  )
}
