// A new issuing CA takes over: signed by the root that is here, or by one that is offline, for a request made here.
import { useState } from 'react'
import type { CaRecord } from '../../../client/ca.ts'
import { change } from '../../api/request.ts'
import { Button } from '../../components/button.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PemField } from '../../components/pem-field.tsx'
import { SaveButton } from '../../components/save-button.tsx'

const DAY_SECONDS = 86_400

export function RotateDialog({
  keyHere,
  onDone,
  onClose,
}: {
  keyHere: boolean
  onDone: () => void
  onClose: () => void
}) {
  const [days, setDays] = useState('')
  const [csr, setCsr] = useState<string | null>(null)
  const [certificate, setCertificate] = useState('')
  const [failure, setFailure] = useState<unknown>(null)
  const request = () =>
    change<{ csr: string }>('POST', '/v1/ca/request').then(made => setCsr(made.csr), setFailure)
  const act = () =>
    change<CaRecord>('POST', '/v1/ca/rotate', {
      ...(certificate.trim() === '' ? {} : { certificate }),
      ...(days === '' ? {} : { spreadSeconds: Math.round(Number(days) * DAY_SECONDS) }),
    })
  return (
    <Confirmation
      title="Hand over to a new issuing CA"
      word="rotate"
      verb="Hand over"
      act={act}
      onDone={onDone}
      onClose={onClose}
    >
      <p className="soft">
        New certificates are signed by the new CA from now on. Those of the former one stay valid; its devices
        are told to renew, spread over time.
      </p>
      <Field label="Spread over days" hint="Empty for 7">
        {link => (
          <input
            {...link}
            type="number"
            min={0}
            max={366}
            step="any"
            value={days}
            onChange={event => setDays(event.target.value)}
          />
        )}
      </Field>
      {keyHere ? null : (
        <>
          <p className="soft">
            The root's key is offline: take this request to it, and bring what it signed.
          </p>
          <div className="row">
            {csr === null ? (
              <Button onClick={() => void request()}>Make the request</Button>
            ) : (
              <SaveButton name="issuing.csr" text={csr}>
                issuing.csr
              </SaveButton>
            )}
          </div>
          <FailureNotice failure={failure} />
          <PemField label="Certificate of the new CA (PEM)" value={certificate} onChange={setCertificate} />
        </>
      )}
    </Confirmation>
  )
}
