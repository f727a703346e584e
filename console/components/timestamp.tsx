// A time relative to now, with the exact time as a tooltip.
import { useSyncExternalStore } from 'react'
import { formatClockTime, formatDateTime, formatRelative } from '../labels/formats.ts'

const TICK_MS = 10_000
let now = Date.now()
const listeners = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | undefined

/** The time, some seconds old at most: all moments of a page move together. */
export function useNow(): number {
  return useSyncExternalStore(
    listener => {
      listeners.add(listener)
      timer ??= setInterval(() => {
        now = Date.now()
        for (const told of listeners) told()
      }, TICK_MS)
      return () => {
        listeners.delete(listener)
        if (listeners.size > 0) return
        clearInterval(timer)
        timer = undefined
      }
    },
    () => now,
  )
}

export function Timestamp({ at }: { at: string | number | null | undefined }) {
  const current = useNow()
  if (at === null || at === undefined) return <span className="faint">never</span>
  const latest = Math.max(current, Date.now())
  return (
    <time dateTime={new Date(at).toISOString()} title={formatDateTime(at)}>
      {formatRelative(at, latest)}
    </time>
  )
}

/** The time itself, for rows that are read one after the other. */
export function ClockTime({ at }: { at: string | number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={formatDateTime(at)}>
      {formatClockTime(at, useNow())}
    </time>
  )
}
