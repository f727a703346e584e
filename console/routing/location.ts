// Where the reader is: the path below /console and its query, as the browser's address says. No state of its own.
import { useSyncExternalStore } from 'react'

export const BASE = '/console'
const listeners = new Set<() => void>()

function told(): void {
  for (const listener of listeners) listener()
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) window.addEventListener('popstate', told)
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) window.removeEventListener('popstate', told)
  }
}

type Route = { path: string; query: URLSearchParams }

export function useRoute(): Route {
  const href = useSyncExternalStore(subscribe, () => `${location.pathname}${location.search}`)
  const url = new URL(href, location.origin)
  return { path: url.pathname.slice(BASE.length) || '/', query: url.searchParams }
}

export function navigate(to: string, { replace = false } = {}): void {
  const href = `${BASE}${to}`
  if (href === `${location.pathname}${location.search}`) return
  if (replace) history.replaceState(null, '', href)
  else {
    history.pushState(null, '', href)
    window.scrollTo(0, 0)
  }
  told()
}

/** The address with some of its query changed; what is null or empty goes. */
export function withQuery({ path, query }: Route, changes: Record<string, string | null>): string {
  const next = new URLSearchParams(query)
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') next.delete(name)
    else next.set(name, value)
  }
  const text = next.toString()
  return text === '' ? path : `${path}?${text}`
}
