// Marks of axes: times and values that are round for a reader, and as many as fit. Pure but for the reader's own time zone.

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const STEPS_MS = [
  ...[5, 10, 15, 30].map(minutes => minutes * MINUTE_MS),
  ...[1, 2, 3, 4, 6, 12].map(hours => hours * HOUR_MS),
  ...[1, 2, 7, 14, 28, 56, 91, 182].map(days => days * DAY_MS),
]

const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hour12: false })
const day = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' })
const moment = new Intl.DateTimeFormat('en', {
  ...{ day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hour12: false },
})

/** The beginnings of periods that get a mark, with its text; `most` of them at most. */
export function timeMarks(
  times: readonly number[],
  periodMs: number,
  most: number,
): { at: number; text: string }[] {
  const first = times[0]
  if (first === undefined) return []
  const spanMs = periodMs * times.length
  const stepMs = STEPS_MS.find(step => step >= periodMs && spanMs / step <= most) ?? spanMs
  const text = stepMs < DAY_MS ? clock : day
  return times.flatMap((time, at) => {
    // In the reader's zone: days begin at midnight there.
    const local = time - new Date(time).getTimezoneOffset() * MINUTE_MS
    const since = stepMs <= DAY_MS ? local : local - localDayOf(first)
    return ((since % stepMs) + stepMs) % stepMs < periodMs ? [{ at, text: text.format(time) }] : []
  })
}

function localDayOf(time: number): number {
  const local = time - new Date(time).getTimezoneOffset() * MINUTE_MS
  return Math.floor(local / DAY_MS) * DAY_MS
}

/** What a period is called: its begin, and its end where it is a day or more. */
export function periodText(time: number, periodMs: number): string {
  if (periodMs < DAY_MS) return moment.format(time)
  return periodMs === DAY_MS
    ? day.format(time)
    : `${day.format(time)} – ${day.format(time + periodMs - DAY_MS)}`
}

/** `counts` are whole; `bytes` are round in powers of 1024; `parts` may be parts of one. */
export type Measure = 'counts' | 'bytes' | 'parts'

/** Three round values from 0 up, the last no less than `highest`. */
export function valueMarks(highest: number, measure: Measure): number[] {
  const wanted = Math.max(measure === 'parts' ? 0.01 : 2, highest)
  const unit = measure === 'bytes' ? 1024 ** Math.floor(Math.log2(wanted) / 10) : 1
  const power = unit * 10 ** Math.floor(Math.log10(wanted / unit))
  const top = [1, 2, 4, 5, 10].map(factor => factor * power).find(value => value >= wanted) ?? power * 10
  return [0, top / 2, top]
}
