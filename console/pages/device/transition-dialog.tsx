// Revoke, suspend, activate, approve or reject one certificate: what it cuts, the confirmation, the live receipt.
import { useState } from 'react'
import type { Certificate, RevocationReceipt } from '../../../client/types.ts'
import { change } from '../../api/request.ts'
import type { LiveSession } from '../../api/response-types.ts'
import { useQuery } from '../../api/use-query.ts'
import { Confirmation } from '../../components/confirmation.tsx'
import { Field } from '../../components/field.tsx'
import { ReceiptView, timed } from '../../components/receipt.tsx'
import { many } from '../../labels/formats.ts'
import { revocationReasons } from '../../labels/revocation-reasons.ts'

const verbs = {
  revoke: {
    title: 'Revoke the certificate of',
    button: 'Revoke',
    tells:
      'For good: its sessions are cut now and no broker admits it again. It goes on the revocation list.',
    danger: true,
  },
  suspend: {
    title: 'Suspend the certificate of',
    button: 'Suspend',
    tells: 'Its sessions are cut now; it is refused until it is activated again.',
    danger: true,
  },
  activate: {
    title: 'Activate the certificate of',
    button: 'Activate',
    tells: 'It may be used again.',
    danger: false,
  },
  approve: {
    title: 'Approve the certificate of',
    button: 'Approve',
    tells: 'It is handed to the device when it asks again, and admits it from now on.',
    danger: false,
  },
  reject: {
    title: 'Reject the certificate of',
    button: 'Reject',
    tells: 'For good: it is never handed out. The device may enroll anew.',
    danger: true,
  },
} as const
export type CertificateVerb = keyof typeof verbs

export function TransitionDialog({
  verb,
  certificate,
  onChanged,
  onClose,
}: {
  verb: CertificateVerb
  certificate: Certificate
  onChanged: () => void
  onClose: () => void
}) {
  const [reason, setReason] = useState('unspecified')
  const { title, button, tells, danger } = verbs[verb]
  const { fingerprint, deviceId } = certificate
  const act = () =>
    change<RevocationReceipt>(
      'POST',
      `/v1/certificates/${fingerprint}/${verb}`,
      verb === 'revoke' ? { reason } : undefined,
    )
  return (
    <Confirmation
      title={`${title} ${deviceId}`}
      word={danger ? deviceId : null}
      verb={button}
      danger={danger}
      act={() => timed(act)}
      onDone={onChanged}
      onClose={onClose}
      result={done => <ReceiptView first={done} refetch={act} />}
    >
      <p className="soft">{tells}</p>
      <dl className="facts">
        <dt>Certificate</dt>
        <dd className="mono break small">{fingerprint}</dd>
        <dt>Status</dt>
        <dd>{certificate.status}</dd>
        {danger && verb !== 'reject' ? <CutNow deviceId={deviceId} fingerprint={fingerprint} /> : null}
      </dl>
      {verb === 'revoke' ? (
        <Field label="Reason" hint="Stands in the revocation list. keyCompromise also bars the key for ever.">
          {link => (
            <select {...link} value={reason} onChange={event => setReason(event.target.value)}>
              {revocationReasons.map(known => (
                <option key={known}>{known}</option>
              ))}
            </select>
          )}
        </Field>
      ) : null}
    </Confirmation>
  )
}

function CutNow({ deviceId, fingerprint }: { deviceId: string; fingerprint: string }) {
  const { data } = useQuery<{ items: LiveSession[] }>(`/v1/devices/${encodeURIComponent(deviceId)}/sessions`)
  const own = data?.items.filter(session => session.fingerprint === fingerprint) ?? []
  return (
    <>
      <dt>Cuts</dt>
      <dd>
        {data === null
          ? 'its live sessions, if there are any'
          : own.length === 0
            ? 'no live session: it is not connected'
            : `${many(own.length, 'live session')}: ${own.map(session => `${session.clientId} from ${session.address}`).join(', ')}`}
      </dd>
    </>
  )
}
