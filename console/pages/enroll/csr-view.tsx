// A certificate request, pasted or dropped, becomes a certificate for a device that is on the roll or is put there now.
import { type FormEvent, useState } from 'react'
import { ApiProblem } from '../../../client/failures.ts'
import type { Device, IssuedCertificate } from '../../../client/types.ts'
import { change } from '../../api/request.ts'
import { useGroup } from '../../api/session.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Field } from '../../components/field.tsx'
import { FileDrop } from '../../components/file-drop.tsx'
import { FailureNotice, fieldError } from '../../components/notice.tsx'
import { TextField } from '../../components/text-field.tsx'
import { parseAttributes, parseGroups } from '../../labels/attributes.ts'
import { useRoute } from '../../routing/location.ts'
import { IssuedView } from './issued-view.tsx'

const CSR_BYTES_MAX = 48 * 1024

export function CsrView() {
  const { query } = useRoute()
  const [deviceId, setDeviceId] = useState(query.get('device') ?? '')
  const [csr, setCsr] = useState('')
  const [groups, setGroups] = useState('')
  const [attributes, setAttributes] = useState('')
  const [days, setDays] = useState('')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const [fileFault, setFileFault] = useState<string | null>(null)
  const [issued, setIssued] = useState<IssuedCertificate | null>(null)
  const group = useGroup()
  const parsed = parseAttributes(attributes)
  const hasKey = csr.includes('PRIVATE KEY')

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (typeof parsed === 'string' || hasKey) return
    setBusy(true)
    setFailure(null)
    try {
      const wanted = {
        id: deviceId.trim(),
        ...(Object.keys(parsed).length > 0 ? { attributes: parsed } : {}),
        ...(parseGroups(groups).length > 0 ? { groups: parseGroups(groups) } : {}),
      }
      await change<Device>('POST', '/v1/devices', wanted).catch((error: unknown) => {
        // One that is on the roll is enrolled as it is.
        if (!(error instanceof ApiProblem && error.reason === 'device_exists')) throw error
      })
      const order = { csr, ...(days === '' ? {} : { days: Number(days) }) }
      setIssued(
        await change<IssuedCertificate>(
          'POST',
          `/v1/devices/${encodeURIComponent(deviceId.trim())}/certificates`,
          order,
        ),
      )
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  if (issued !== null) {
    return (
      <IssuedView
        issued={issued}
        onAgain={() => {
          setIssued(null)
          setDeviceId('')
          setCsr('')
        }}
      />
    )
  }
  return (
    <form className="grid wide-narrow" onSubmit={submit}>
      <Card title="Request">
        <TextField
          label="Device ID"
          hint="1 to 128 of A–Z a–z 0–9 . _ - · the certificate's name, whatever the request says"
          fault={fieldError(failure, 'id')}
          required
          maxLength={128}
          value={deviceId}
          onValue={setDeviceId}
        />
        <Field
          label="Certificate request (PKCS #10, PEM)"
          hint={
            <code>
              openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout device.key -out
              device.csr -subj /CN=device
            </code>
          }
          fault={
            hasKey
              ? 'This holds a private key. It belongs on the device: paste the request alone.'
              : (fileFault ?? fieldError(failure, 'csr'))
          }
        >
          {link => (
            <textarea
              {...link}
              required
              rows={10}
              spellCheck={false}
              placeholder="-----BEGIN CERTIFICATE REQUEST-----"
              value={csr}
              onChange={event => {
                setCsr(event.target.value)
                setFileFault(null)
              }}
            />
          )}
        </Field>
        <FileDrop
          label="Drop a .csr or .pem file here, or choose one"
          accept=".csr,.pem,.req,.p10,application/pkcs10"
          onFile={async file => {
            if (file.size > CSR_BYTES_MAX) return setFileFault(`${file.name} is too large to be a request.`)
            setFileFault(null)
            setCsr(await file.text())
          }}
        />
        <FailureNotice failure={failure} />
        <div className="row">
          <Button
            type="submit"
            look="primary"
            busy={busy}
            disabled={deviceId.trim() === '' || csr.trim() === '' || hasKey || typeof parsed === 'string'}
          >
            {busy ? 'Issuing…' : 'Issue the certificate'}
          </Button>
        </div>
      </Card>
      <Card title="If the device is new" aside="optional">
        {group === null ? (
          <TextField
            label="Groups"
            hint="Separated by commas"
            fault={fieldError(failure, 'groups')}
            value={groups}
            onValue={setGroups}
          />
        ) : (
          <p className="small soft">It joins the group {group}, as everything you enroll.</p>
        )}
        <Field
          label="Attributes"
          hint="One on a line, as name=value"
          fault={typeof parsed === 'string' ? parsed : fieldError(failure, 'attributes')}
        >
          {link => (
            <textarea
              {...link}
              rows={4}
              spellCheck={false}
              value={attributes}
              onChange={event => setAttributes(event.target.value)}
            />
          )}
        </Field>
        <Field
          label="Valid for (days)"
          hint="1 to 825; as the service is set where it is empty"
          fault={fieldError(failure, 'days')}
        >
          {link => (
            <input
              {...link}
              type="number"
              min={1}
              max={825}
              value={days}
              onChange={event => setDays(event.target.value)}
            />
          )}
        </Field>
      </Card>
    </form>
  )
}
