// The frame of every page: menu, search, the signed-in operator. On a phone the menu opens over the page.
import { useEffect, useRef, useState } from 'react'
import { IconButton } from '../components/button.tsx'
import { useRoute } from '../routing/location.ts'
import { Outlet } from '../routing/outlet.tsx'
import { DeviceSearch } from './device-search.tsx'
import { KeysOverlay } from './keys-overlay.tsx'
import { Menu } from './menu.tsx'
import { OfflineBanner } from './offline-banner.tsx'
import { Palette } from './palette.tsx'
import { isTyping } from './shortcuts.ts'

export function Shell() {
  const [open, setOpen] = useState(false)
  const { path } = useRoute()
  const toMenu = useRef<HTMLDivElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page closes the menu
  useEffect(() => setOpen(false), [path])
  useEffect(() => {
    if (!open) return
    const close = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return
      setOpen(false)
      toMenu.current?.querySelector('button')?.focus()
    }
    document.addEventListener('keydown', close)
    return () => document.removeEventListener('keydown', close)
  }, [open])
  const [overlay, setOverlay] = useState<'keys' | 'palette' | null>(null)
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey) && !event.altKey) {
        if (document.querySelector('dialog[open]') !== null) return
        event.preventDefault()
        setOverlay('palette')
      } else if (event.key === '?' && !event.ctrlKey && !event.metaKey && !isTyping(event.target))
        setOverlay('keys')
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [])
  return (
    <div className="shell">
      <a className="skip" href="#page">
        Skip to the page
      </a>
      <Menu open={open} />
      {open ? (
        <button type="button" className="veil" aria-label="Close the menu" onClick={() => setOpen(false)} />
      ) : null}
      <div className="main">
        <header className="top">
          <div className="menu" ref={toMenu}>
            <IconButton
              icon="menu"
              label="Open the menu"
              aria-expanded={open}
              onClick={() => setOpen(!open)}
            />
          </div>
          <DeviceSearch />
          <button
            type="button"
            className="button quiet bare help"
            aria-label="Keys"
            title="Keys (?)"
            onClick={() => setOverlay('keys')}
          >
            ?
          </button>
        </header>
        <OfflineBanner />
        <main className="page" id="page" tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      {overlay === 'keys' ? <KeysOverlay onClose={() => setOverlay(null)} /> : null}
      {overlay === 'palette' ? <Palette onClose={() => setOverlay(null)} /> : null}
    </div>
  )
}
