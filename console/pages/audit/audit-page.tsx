// The audit log and whether it is as it was written.
import { type FormEvent, useEffect, useState } from 'react'
import { Button } from '../../components/button.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { TextField } from '../../components/text-field.tsx'
import { navigate, useRoute, withQuery } from '../../routing/location.ts'
import { AuditTable } from './audit-table.tsx'
import { VerificationCard } from './verification-card.tsx'

const names = ['actor', 'action', 'target'] as const

export function AuditPage() {
  const route = useRoute()
  const asked = Object.fromEntries(names.map(name => [name, route.query.get(name)]))
  const key = names.map(name => asked[name] ?? '').join('\n')
  const [typed, setTyped] = useState<string[]>(key.split('\n'))
  useEffect(() => setTyped(key.split('\n')), [key])
  const submit = (event: FormEvent) => {
    event.preventDefault()
    navigate(withQuery(route, Object.fromEntries(names.map((name, at) => [name, typed[at]?.trim() ?? '']))), {
      replace: true,
    })
  }
  const hints = {
    actor: 'admin',
    action: 'device.* or certificate.revoke',
    target: 'a device, a fingerprint',
  }
  return (
    <>
      <PageHeader
        title="Audit"
        lead="Every change by an operator, in one transaction with the change itself. Rows are chained by their hashes and sealed with signed checkpoints."
      />
      <VerificationCard />
      <form className="filters" onSubmit={submit} aria-label="Filters">
        {names.map((name, at) => (
          <TextField
            key={name}
            label={name.charAt(0).toUpperCase() + name.slice(1)}
            wide={name === 'target'}
            placeholder={hints[name]}
            maxLength={256}
            value={typed[at] ?? ''}
            onValue={value => setTyped(typed.with(at, value))}
          />
        ))}
        <div className="row">
          <Button type="submit">Apply</Button>
          {key.trim() === '' ? null : (
            <Button look="quiet" onClick={() => navigate('/audit', { replace: true })}>
              Clear
            </Button>
          )}
        </div>
      </form>
      <AuditTable filter={asked} empty="No row matches" />
    </>
  )
}
