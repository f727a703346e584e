// The palette on Ctrl-K: type part of a page's, a saved view's or a device's name, and Enter leads there.
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react'
import type { Device, Page } from '../../client/types.ts'
import { query } from '../api/request.ts'
import { useGroup, useSession } from '../api/session.tsx'
import { useQuery } from '../api/use-query.ts'
import { savedViews } from '../pages/devices/saved-views.ts'
import { navigate } from '../routing/location.ts'
import { mayOpen, routes } from '../routing/routes.ts'

type Entry = { to: string; title: string; kind: string }

const further: readonly (Entry & { page: string })[] = [
  { page: '/devices', to: '/devices?connected=true', title: 'Connected devices', kind: 'list' },
  { page: '/devices', to: '/devices?seen=7', title: 'Devices silent for a week', kind: 'list' },
  {
    page: '/devices',
    to: '/devices?expires=30',
    title: 'Certificates that end within 30 days',
    kind: 'list',
  },
  { page: '/enroll', to: '/enroll?view=token', title: 'Make a one-time token', kind: 'action' },
  { page: '/enroll', to: '/enroll?view=import', title: 'Import a file', kind: 'action' },
  { page: '/access', to: '/access', title: 'Make an API token', kind: 'action' },
  { page: '/audit', to: '/audit', title: 'Verify the audit log', kind: 'action' },
]
const DEVICES_SHOWN = 6
const PAUSE_MS = 150

export function Palette({ onClose }: { onClose: () => void }) {
  const { operator } = useSession()
  const group = useGroup()
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  const [text, setText] = useState('')
  const [asked, setAsked] = useState('')
  const [at, setAt] = useState(0)
  useEffect(() => {
    const element = dialog.current
    if (element !== null && !element.open) element.showModal()
    return () => element?.close()
  }, [])
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text.trim()), PAUSE_MS)
    return () => clearTimeout(timer)
  }, [text])
  const { data } = useQuery<Page<Device>>(
    asked === '' ? null : `/v1/devices${query({ search: asked, limit: DEVICES_SHOWN })}`,
  )
  const open = routes.filter(route => operator !== null && mayOpen(route, operator.role, group))
  const entries: Entry[] = [
    ...open.map(({ path, title }) => ({ to: path, title, kind: 'page' })),
    ...savedViews().map(({ name, query: view }) => ({ to: `/devices?${view}`, title: name, kind: 'view' })),
    ...further.filter(({ page }) => open.some(({ path }) => path === page)),
  ].filter(({ title }) => title.toLowerCase().includes(text.trim().toLowerCase()))
  const found: Entry[] = [
    ...entries,
    ...(text.trim() === '' ? [] : (data?.items ?? [])).map(device => ({
      to: `/devices/${encodeURIComponent(device.id)}`,
      title: device.id,
      kind: device.state,
    })),
  ]
  const current = Math.min(at, Math.max(0, found.length - 1))
  const follow = (entry: Entry | undefined) => {
    if (entry === undefined) return
    onClose()
    navigate(entry.to)
  }
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step !== 0 && found.length > 0) setAt((current + step + found.length) % found.length)
    else if (event.key === 'Enter') follow(found[current])
    else return
    event.preventDefault()
  }
  return (
    <dialog ref={dialog} className="palette" aria-label="Palette" onCancel={onClose} onClose={onClose}>
      <input
        type="text"
        role="combobox"
        aria-label="Go to"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={found.length === 0 ? undefined : `${id}-${current}`}
        placeholder="A page, a saved view, a device"
        autoComplete="off"
        spellCheck={false}
        maxLength={256}
        value={text}
        onChange={event => {
          setText(event.target.value)
          setAt(0)
        }}
        onKeyDown={onKey}
      />
      <div id={id} role="listbox" aria-label="Found">
        {found.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys
          <div
            key={`${entry.kind} ${entry.to} ${entry.title}`}
            id={`${id}-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === current}
            onClick={() => follow(entry)}
          >
            <span className="break">{entry.title}</span>
            <span className="faint small">{entry.kind}</span>
          </div>
        ))}
      </div>
      {found.length === 0 ? (
        <p className="inside soft small" role="status">
          Nothing has this in its name.
        </p>
      ) : null}
    </dialog>
  )
}
