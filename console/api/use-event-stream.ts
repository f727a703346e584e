// Events as they happen. The browser connects again by itself and says where it was; what it cannot mend is mended here.
import { useEffect, useRef, useState } from 'react'
import type { FleetEvent } from '../../client/events.ts'
import { parseReceived } from './received.ts'
import { ask, passes } from './request.ts'

type StreamState = 'opening' | 'open' | 'waiting'
const RETRY_FIRST_MS = 1_000
const RETRY_MAX_MS = 30_000

/** `kinds` are those that can come: the stream names each event by its kind. */
export function useEventStream(
  path: string | null,
  kinds: readonly string[],
  onEvent: (row: FleetEvent) => void,
): StreamState {
  const [state, setState] = useState<StreamState>('opening')
  const told = useRef(onEvent)
  told.current = onEvent
  useEffect(() => {
    if (path === null) return
    let source: EventSource | null = null
    let timer: ReturnType<typeof setTimeout> | undefined
    let attempts = 0
    const take = (event: MessageEvent<string>) => {
      try {
        told.current(parseReceived(event.data) as FleetEvent)
      } catch {
        // A line that is no event is none.
      }
    }
    const open = () => {
      setState(attempts === 0 ? 'opening' : 'waiting')
      source = new EventSource(path)
      source.onopen = () => {
        attempts = 0
        setState('open')
      }
      source.onmessage = take
      for (const kind of kinds) source.addEventListener(kind, take as EventListener)
      source.onerror = () => {
        setState('waiting')
        // It goes on trying after a lost connection, and gives up after an answer that is no stream.
        if (source?.readyState !== EventSource.CLOSED) return
        const waitMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** attempts)
        attempts += 1
        timer = setTimeout(open, waitMs)
        // An ordinary request tells whether the session has ended.
        ask('/v1/whoami').catch((error: unknown) => {
          if (!passes(error)) clearTimeout(timer)
        })
      }
    }
    open()
    return () => {
      source?.close()
      clearTimeout(timer)
    }
  }, [path, kinds])
  return state
}
