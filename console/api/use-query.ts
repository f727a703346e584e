// The answer of one GET, refreshed at the interval that a page sets. Retries with growing delays if the service does not answer.
import { useCallback, useEffect, useRef, useState } from 'react'
import { connection } from './connection.ts'
import { ask, passes, Unreachable } from './request.ts'

export type Query<T> = {
  data: T | null
  failure: unknown
  /** Nothing is known yet. */
  loading: boolean
  refetch: () => void
}

const RETRY_FIRST_MS = 1_000
const RETRY_MAX_MS = 30_000

/** `path` null asks nothing. `everyMs` asks again as long as the page is looked at. */
export function useQuery<T>(path: string | null, { everyMs }: { everyMs?: number } = {}): Query<T> {
  const [state, setState] = useState<{ path: string | null; data: T | null; failure: unknown }>({
    path,
    data: null,
    failure: null,
  })
  const [round, setRound] = useState(0)
  const attempts = useRef(0)
  const refetch = useCallback(() => setRound(value => value + 1), [])

  // biome-ignore lint/correctness/useExhaustiveDependencies: a round is a reason to ask again
  useEffect(() => {
    if (path === null) return
    const controller = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let forget: (() => void) | undefined
    const later = (ms: number) => {
      timer = setTimeout(() => (document.hidden && everyMs !== undefined ? later(ms) : refetch()), ms)
    }
    ask<T>(path, { signal: controller.signal }).then(
      data => {
        attempts.current = 0
        setState({ path, data, failure: null })
        if (everyMs !== undefined) later(everyMs)
      },
      failure => {
        if (controller.signal.aborted) return
        const away = failure instanceof Unreachable
        setState(former => {
          const data = former.path === path ? former.data : null
          // That nothing answers is said once for the whole page; what was known stays.
          return { path, data, failure: away && data !== null ? null : failure }
        })
        if (!passes(failure)) return
        const waitMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** attempts.current)
        attempts.current += 1
        if (away) connection.say({ reached: false, retryAt: Date.now() + waitMs })
        timer = setTimeout(refetch, waitMs)
        forget = connection.onRetry(refetch)
      },
    )
    return () => {
      controller.abort()
      clearTimeout(timer)
      forget?.()
    }
  }, [path, everyMs, round, refetch])

  const own = state.path === path
  const data = own ? state.data : null
  const failure = own ? state.failure : null
  return { data, failure, loading: data === null && failure === null && path !== null, refetch }
}
