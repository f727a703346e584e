// Whether the service answers, as every request finds out: one place to ask, one to say it on the page.
import { useSyncExternalStore } from 'react'

type Connection = { reached: boolean; retryAt: number | null }

let state: Connection = { reached: true, retryAt: null }
const listeners = new Set<() => void>()
const retries = new Set<() => void>()

export const connection = {
  say(next: Connection): void {
    if (next.reached === state.reached && next.retryAt === state.retryAt) return
    state = next
    for (const listener of listeners) listener()
  },
  /** Every waiting query is sent again now. */
  retryNow(): void {
    for (const retry of [...retries]) retry()
  },
  /** Returns a function that stops waiting. */
  onRetry(retry: () => void): () => void {
    retries.add(retry)
    return () => retries.delete(retry)
  },
}

export function useConnection(): Connection {
  return useSyncExternalStore(
    listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => state,
  )
}
