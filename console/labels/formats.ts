// Numbers, times and sizes as people read them. Pure but for the reader's own time zone.

const counts = new Intl.NumberFormat('en')
const moments = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium', hour12: false })
const times = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hour12: false })
const days = new Intl.DateTimeFormat('en', { dateStyle: 'medium' })
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

const SECOND_MS = 1_000
const steps: [unit: Intl.RelativeTimeFormatUnit, ms: number][] = [
  ['year', 365 * 86_400_000],
  ['month', 30 * 86_400_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', SECOND_MS],
]

export const count = (value: number): string => counts.format(value)
export const formatDateTime = (at: string | number): string => moments.format(new Date(at))
/** The time of a moment of today, the whole of an earlier one. */
export function formatClockTime(at: string | number, now: number): string {
  return new Date(at).toDateString() === new Date(now).toDateString()
    ? times.format(new Date(at))
    : formatDateTime(at)
}

export const formatDay = (at: string | number): string => days.format(new Date(at))

/** "3 min. ago", "in 2 days". */
export function formatRelative(at: string | number, now: number): string {
  const ms = new Date(at).getTime() - now
  if (Math.abs(ms) < 5 * SECOND_MS) return 'now'
  const [unit, size] = steps.find(([, size]) => Math.abs(ms) >= size) ?? ['second', SECOND_MS]
  // What is to come is not shortened: a token of 24 hours ends in 24 hours.
  return relative.format(ms > 0 ? Math.round(ms / size) : Math.trunc(ms / size), unit)
}

/** "12 days", "3 hours": how long something lasts. */
export function formatDuration(ms: number): string {
  // A month is no measure: 30 days are 30 days.
  const [unit, size] = steps.find(([unit, size]) => unit !== 'month' && Math.abs(ms) >= size) ?? [
    'second',
    SECOND_MS,
  ]
  const value = Math.round(ms / size)
  return `${count(value)} ${unit}${value === 1 ? '' : 's'}`
}

export function many(value: number, one: string, more = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : more}`
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`
  const power = Math.min(byteUnits.length - 1, Math.floor(Math.log2(value) / 10))
  return `${(value / 1024 ** power).toFixed(1)} ${byteUnits[power]}`
}
