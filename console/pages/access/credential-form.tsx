// A new API token, or an operator's certificate to register: its name, role, group and how long it is accepted.
import { type FormEvent, useState } from 'react'
import type { Role } from '../../../client/operators.ts'
import { change } from '../../api/request.ts'
import { useGroup, useSession } from '../../api/session.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice, fieldError } from '../../components/notice.tsx'
import { PemField } from '../../components/pem-field.tsx'
import { TextField } from '../../components/text-field.tsx'

const roles: readonly { role: Role; may: string }[] = [
  { role: 'viewer', may: 'look' },
  { role: 'enroller', may: 'and enroll devices' },
  { role: 'operator', may: 'and change, suspend, revoke' },
  { role: 'admin', may: 'and manage callers and the CA' },
]
const DAYS_MAX = 366

export function CredentialForm<Made>({
  kind,
  onMade,
}: {
  kind: 'token' | 'certificate'
  onMade: (made: Made) => void
}) {
  const bound = useGroup()
  const { operator } = useSession()
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const [group, setGroup] = useState('')
  const [days, setDays] = useState('90')
  const [certificate, setCertificate] = useState('')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const isToken = kind === 'token'

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setFailure(null)
    const scope = bound ?? group.trim()
    const wanted = { name: name.trim(), role, days: Number(days), ...(scope === '' ? {} : { group: scope }) }
    try {
      const made = isToken
        ? await change<Made>('POST', '/v1/api-tokens', wanted)
        : await change<Made>('POST', '/v1/operators', { ...wanted, certificate })
      setName('')
      setCertificate('')
      onMade(made)
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Card title={isToken ? 'Make a token' : 'Register a certificate'}>
      <form className="stack" onSubmit={submit}>
        <div className="fields">
          <TextField
            label="Name"
            hint="Of a person or a program; the audit log shows it"
            fault={fieldError(failure, 'name')}
            required
            maxLength={128}
            value={name}
            onValue={setName}
          />
          <Field label="Role" fault={fieldError(failure, 'role')}>
            {link => (
              <select {...link} value={role} onChange={event => setRole(event.target.value as Role)}>
                {roles
                  .slice(0, roles.findIndex(one => one.role === operator?.role) + 1)
                  .map(({ role: value, may }) => (
                    <option key={value} value={value}>
                      {value}: {may}
                    </option>
                  ))}
              </select>
            )}
          </Field>
          <TextField
            label="Group"
            hint="Empty for all devices; else it sees and changes those of the group alone"
            fault={fieldError(failure, 'group')}
            disabled={bound !== null}
            maxLength={128}
            value={bound ?? group}
            onValue={setGroup}
          />
          <Field
            label="Days"
            hint={`1 to ${DAYS_MAX}; no longer than your own`}
            fault={fieldError(failure, 'days')}
          >
            {link => (
              <input
                {...link}
                type="number"
                required
                min={1}
                max={DAYS_MAX}
                value={days}
                onChange={event => setDays(event.target.value)}
              />
            )}
          </Field>
        </div>
        {isToken ? null : (
          <PemField
            label="Certificate (PEM)"
            hint="Its key stays with its holder, in a file or a smart card. It may not be a device's."
            value={certificate}
            fault={fieldError(failure, 'certificate')}
            onChange={setCertificate}
          />
        )}
        <FailureNotice failure={failure} />
        <div className="row">
          <Button
            type="submit"
            look="primary"
            busy={busy}
            disabled={name.trim() === '' || (!isToken && certificate.trim() === '')}
          >
            {isToken ? 'Make the token' : 'Register the certificate'}
          </Button>
        </div>
      </form>
    </Card>
  )
}
