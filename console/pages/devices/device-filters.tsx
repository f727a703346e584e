// What narrows the list of devices. Each filter is part of the address, so that a list can be sent to somebody.
import { type FormEvent, useEffect, useState } from 'react'
import { Button } from '../../components/button.tsx'
import { Field } from '../../components/field.tsx'
import { navigate, useRoute, withQuery } from '../../routing/location.ts'

export const filterNames = ['search', 'state', 'group', 'attribute', 'connected'] as const

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
      <Field label="Search" wide>
        {link => (
          <input
            {...link}
            type="search"
            placeholder="ID, name:value, fingerprint or serial"
            spellCheck={false}
            autoComplete="off"
            maxLength={1200}
            value={search}
            onChange={event => setSearch(event.target.value)}
          />
        )}
      </Field>
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
      <Field label="Group">
        {link => (
          <input
            {...link}
            placeholder="any"
            spellCheck={false}
            autoComplete="off"
            maxLength={128}
            value={group}
            onChange={event => setGroup(event.target.value)}
          />
        )}
      </Field>
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
