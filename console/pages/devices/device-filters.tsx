// What narrows the list of devices. Each filter is part of the address, so that a list can be sent to somebody.
import { type FormEvent, useEffect, useState } from 'react'
import { Button } from '../../components/button.tsx'
import { Field } from '../../components/field.tsx'
import { TextField } from '../../components/text-field.tsx'
import { statusLabels } from '../../labels/reasons.ts'
import { navigate, useRoute, withQuery } from '../../routing/location.ts'

export const filterNames = [
  ...([
    'search',
    'state',
    'group',
    'attribute',
    'connected',
    'seen',
    'certificateStatus',
    'expires',
  ] as const),
] as const
type Filter = Record<string, string | null>

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** So many days: whole hours, so that the question stays the same from one look to the next. */
const days = (count: number) =>
  new Date(Math.floor(Date.now() / HOUR_MS) * HOUR_MS + count * DAY_MS).toISOString()

/** What the address says, as the API is asked: `seen` is `never` or days of silence, `expires` days to come. */
export function toApi({ seen, expires, ...others }: Filter): Filter {
  return {
    ...others,
    ...(seen === 'never' && { neverConnected: 'true' }),
    ...(seen && /^\d{1,4}$/.test(seen) && { lastSeenBefore: days(-Number(seen)) }),
    ...(expires && /^\d{1,4}$/.test(expires) && { expiresBefore: days(Number(expires)) }),
  }
}

export function DeviceFilters() {
  const route = useRoute()
  const asked = (name: string) => route.query.get(name) ?? ''
  const [search, setSearch] = useState(asked('search'))
  const [group, setGroup] = useState(asked('group'))
  const kept = `${asked('search')}\n${asked('group')}`
  useEffect(() => {
    const [keptSearch = '', keptGroup = ''] = kept.split('\n')
    setSearch(keptSearch)
    setGroup(keptGroup)
  }, [kept])
  const set = (changes: Record<string, string | null>) =>
    navigate(withQuery(route, changes), { replace: true })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    set({ search: search.trim(), group: group.trim() })
  }
  const any = filterNames.some(name => asked(name) !== '')
  return (
    <form className="filters" onSubmit={submit} aria-label="Filters">
      <TextField
        label="Search"
        wide
        type="search"
        placeholder="ID name:value fingerprint serial"
        maxLength={1200}
        value={search}
        onValue={setSearch}
      />
      <Field label="State">
        {link => (
          <select {...link} value={asked('state')} onChange={event => set({ state: event.target.value })}>
            <option value="">any</option>
            <option>registered</option>
            <option>active</option>
            <option>suspended</option>
            <option>decommissioned</option>
          </select>
        )}
      </Field>
      <Field label="Connection">
        {link => (
          <select
            {...link}
            value={asked('connected')}
            onChange={event => set({ connected: event.target.value })}
          >
            <option value="">any</option>
            <option value="true">connected now</option>
            <option value="false">not connected</option>
          </select>
        )}
      </Field>
      <Choice
        label="Last seen"
        value={asked('seen')}
        onChange={seen => set({ seen })}
        choices={{
          '1': 'silent for a day',
          '7': 'silent for a week',
          '30': 'silent for 30 days',
          never: 'never',
        }}
      />
      <Choice
        label="Certificate"
        value={asked('certificateStatus')}
        onChange={certificateStatus => set({ certificateStatus })}
        choices={Object.fromEntries(Object.keys(statusLabels).map(status => [status, status]))}
      />
      <Choice
        label="Expires"
        value={asked('expires')}
        onChange={expires => set({ expires })}
        choices={{ '0': 'expired', '7': 'within a week', '30': 'within 30 days', '90': 'within 90 days' }}
      />
      <TextField label="Group" placeholder="any" maxLength={128} value={group} onValue={setGroup} />
      <div className="row">
        <Button type="submit">Apply</Button>
        {any ? (
          <Button look="quiet" onClick={() => navigate('/devices', { replace: true })}>
            Clear
          </Button>
        ) : null}
      </div>
    </form>
  )
}

function Choice({
  label,
  value,
  choices,
  onChange,
}: {
  label: string
  value: string
  choices: Readonly<Record<string, string>>
  onChange: (value: string) => void
}) {
  return (
    <Field label={label}>
      {link => (
        <select {...link} value={value} onChange={event => onChange(event.target.value)}>
          <option value="">any</option>
          {Object.entries(choices).map(([key, text]) => (
            <option key={key} value={key}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  )
}
