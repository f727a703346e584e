// What a new one-time token is for, how long it lasts, and whether somebody has to say yes.
import { type FormEvent, useState } from 'react'
import type { CreatedEnrollmentToken } from '../../../client/enrollment.ts'
import { ApiProblem } from '../../../client/failures.ts'
import { change } from '../../api/request.ts'
import { useGroup } from '../../api/session.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice, fieldError } from '../../components/notice.tsx'
import { TextField } from '../../components/text-field.tsx'

const HOUR_SECONDS = 3_600
const lifetimes = [
  { title: '1 hour', hours: 1 },
  { title: '24 hours', hours: 24 },
  { title: '3 days', hours: 72 },
  { title: '7 days', hours: 168 },
] as const

/** What the device speaks, and what is asked for it. */
const protocols = [
  { name: 'https', title: 'HTTPS: rollcall, curl, EST', order: {} },
  { name: 'cmp', title: 'CMP: a reference and a secret', order: { cmp: true } },
  { name: 'acme', title: 'ACME: a key ID and an HMAC key', order: { acme: true } },
] as const

export function TokenForm({ onMade }: { onMade: (token: CreatedEnrollmentToken) => void }) {
  const bound = useGroup()
  const [kind, setKind] = useState<'device' | 'group'>('device')
  const [target, setTarget] = useState('')
  const [hours, setHours] = useState(24)
  const [approval, setApproval] = useState(false)
  const [protocol, setProtocol] = useState<string>('https')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const name = kind === 'group' && bound !== null ? bound : target.trim()
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setFailure(null)
    try {
      if (kind === 'device')
        await change('POST', '/v1/devices', { id: name }).catch((error: unknown) => {
          // One that is on the roll is enrolled as it is.
          if (!(error instanceof ApiProblem && error.reason === 'device_exists')) throw error
        })
      const subject = kind === 'device' ? { deviceId: name } : { group: name }
      const order = {
        ...{ ...subject, lifetimeSeconds: hours * HOUR_SECONDS },
        ...(approval ? { approval } : {}),
        ...protocols.find(({ name }) => name === protocol)?.order,
      }
      onMade(await change<CreatedEnrollmentToken>('POST', '/v1/enrollment-tokens', order))
      setTarget('')
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Card title="Make a token">
      <form className="stack" onSubmit={submit}>
        <div className="fields">
          <Field label="It enrolls">
            {link => (
              <select
                {...link}
                value={kind}
                onChange={event => setKind(event.target.value as 'device' | 'group')}
              >
                <option value="device">one named device</option>
                <option value="group">any new device of a group</option>
              </select>
            )}
          </Field>
          <TextField
            label={kind === 'device' ? 'Device ID' : 'Group'}
            hint={
              kind === 'device'
                ? 'Is registered where it is not yet'
                : 'The device chooses a name that is free'
            }
            fault={
              fieldError(failure, 'id') ?? fieldError(failure, 'deviceId') ?? fieldError(failure, 'group')
            }
            required
            disabled={kind === 'group' && bound !== null}
            maxLength={128}
            value={name === bound ? name : target}
            onValue={setTarget}
          />
          <Field label="Lasts">
            {link => (
              <select {...link} value={hours} onChange={event => setHours(Number(event.target.value))}>
                {lifetimes.map(({ title, hours: value }) => (
                  <option key={value} value={value}>
                    {title}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field label="The device speaks">
            {link => (
              <select {...link} value={protocol} onChange={event => setProtocol(event.target.value)}>
                {protocols.map(({ name: value, title }) => (
                  <option key={value} value={value}>
                    {title}
                  </option>
                ))}
              </select>
            )}
          </Field>
        </div>
        <label className="check">
          <input type="checkbox" checked={approval} onChange={event => setApproval(event.target.checked)} />
          Somebody has to approve the certificate
        </label>
        <FailureNotice failure={failure} />
        <div className="row">
          <Button type="submit" look="primary" busy={busy} disabled={name === ''}>
            Make the token
          </Button>
        </div>
      </form>
    </Card>
  )
}
