// The search at the top of every page: a device by ID, attribute, fingerprint or serial number. "/" leads here.
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { Icon } from '../components/icon.tsx'
import { navigate, useRoute } from '../routing/location.ts'

export function DeviceSearch() {
  const { path, query } = useRoute()
  const shown = path === '/devices' ? (query.get('search') ?? '') : ''
  const [text, setText] = useState(shown)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => setText(shown), [shown])
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return
      const { target } = event
      if (
        target instanceof HTMLElement &&
        target.closest('input, textarea, select, [contenteditable], dialog')
      )
        return
      event.preventDefault()
      input.current?.focus()
      input.current?.select()
    }
    document.addEventListener('keydown', focus)
    return () => document.removeEventListener('keydown', focus)
  }, [])
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const wanted = text.trim()
    navigate(wanted === '' ? '/devices' : `/devices?search=${encodeURIComponent(wanted)}`)
  }
  return (
    <search className="find">
      <form onSubmit={submit}>
        <Icon name="search" size={16} />
        <input
          ref={input}
          type="search"
          aria-label="Find a device"
          placeholder="Find a device: ID, name:value, fingerprint, serial"
          autoComplete="off"
          spellCheck={false}
          maxLength={256}
          value={text}
          onChange={event => setText(event.target.value)}
        />
      </form>
    </search>
  )
}
