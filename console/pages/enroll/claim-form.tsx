// A new claim: its name and request, how many devices it may enroll and which, into what group, and how long.
import { type FormEvent, useState } from 'react'
import type { ClaimWithPem } from '../../../client/enrollment.ts'
import { change } from '../../api/request.ts'
import { useGroup } from '../../api/session.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice, fieldError } from '../../components/notice.tsx'
import { PemField } from '../../components/pem-field.tsx'
import { TextField } from '../../components/text-field.tsx'

export function ClaimForm({ onMade }: { onMade: (claim: ClaimWithPem) => void }) {
  const bound = useGroup()
  const [name, setName] = useState('')
  const [csr, setCsr] = useState('')
  const [quota, setQuota] = useState('100')
  const [group, setGroup] = useState('')
  const [days, setDays] = useState('')
  const [allow, setAllow] = useState('')
  const [approval, setApproval] = useState(false)
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setFailure(null)
    const into = bound ?? group.trim()
    const listed = allow.split(/[\s,;]+/).filter(id => id !== '')
    const order = {
      ...{ name: name.trim(), csr, quota: Number(quota) },
      ...(into === '' ? {} : { group: into }),
      ...(days === '' ? {} : { days: Number(days) }),
      ...(listed.length === 0 ? {} : { allow: listed }),
      ...(approval ? { approval } : {}),
    }
    try {
      onMade(await change<ClaimWithPem>('POST', '/v1/claims', order))
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  const text = (
    label: string,
    hint: string,
    value: string,
    set: (value: string) => void,
    path: string,
    more = {},
  ) => (
    <TextField
      label={label}
      hint={hint}
      fault={fieldError(failure, path)}
      maxLength={128}
      value={value}
      onValue={set}
      {...more}
    />
  )
  return (
    <Card title="Make a claim">
      <form className="stack" onSubmit={submit}>
        <div className="fields">
          {text('Name', 'Of the batch', name, setName, 'name', { required: true })}
          {text('Devices at most', '1 to 1,000,000', quota, setQuota, 'quota', {
            ...{ type: 'number', required: true, min: 1, max: 1_000_000 },
          })}
          {text('Group', 'Into which they come; empty for none', bound ?? group, setGroup, 'group', {
            disabled: bound !== null,
          })}
          {text('Days', 'Empty for as long as it may', days, setDays, 'days', { type: 'number', min: 1 })}
        </div>
        <PemField
          label="Certificate request (PEM)"
          hint="For a key that the batch shares"
          accept=".csr,.pem"
          value={csr}
          fault={fieldError(failure, 'csr')}
          onChange={setCsr}
        />
        <Field
          label="Only these devices"
          hint="IDs between blanks or commas, 400 at most; empty for any new device"
          fault={fieldError(failure, 'allow')}
          wide
        >
          {link => (
            <textarea
              {...link}
              rows={2}
              spellCheck={false}
              value={allow}
              onChange={event => setAllow(event.target.value)}
            />
          )}
        </Field>
        <label className="check">
          <input type="checkbox" checked={approval} onChange={event => setApproval(event.target.checked)} />
          Each certificate waits for approval
        </label>
        <FailureNotice failure={failure} />
        <div className="row">
          <Button type="submit" look="primary" busy={busy} disabled={name.trim() === '' || csr.trim() === ''}>
            Make the claim
          </Button>
        </div>
      </form>
    </Card>
  )
}
