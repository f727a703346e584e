// The frame of every page: menu, search, the signed-in operator. On a phone the menu opens over the page.
import { useEffect, useRef, useState } from 'react'
import { IconButton } from '../components/button.tsx'
import { useRoute } from '../routing/location.ts'
import { Outlet } from '../routing/outlet.tsx'
import { DeviceSearch } from './device-search.tsx'
import { Menu } from './menu.tsx'
import { OfflineBanner } from './offline-banner.tsx'

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
        </header>
        <OfflineBanner />
        <main className="page" id="page" tabIndex={-1}>
          <Outlet />
        </main>
      </div>
    </div>
  )
}
