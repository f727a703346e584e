// Numbers and names as people read them: the same in the live view, the text summary and `sim compare`.
// Pure. Removes control characters, which a terminal would obey.
import type { Percentiles } from '../results/sample.ts'
import type { RunEvent } from '../results/summary.ts'

/** Three digits are enough to compare with: 0.62 ms, 18 ms, 2.4 s. */
export function duration(ms: number | null): string {
  if (ms === null) return '–'
  if (ms < 9.995) return `${digits(ms, 2)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 99_950) return `${digits(ms / 1000, 1)} s`
  return clock(ms / 1000)
}

/** 75 → 1:15, 3,700 → 1:01:40. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map(part => String(part).padStart(2, '0'))
  const hours = Math.floor(whole / 3600)
  return hours > 0 ? `${hours}:${parts.join(':')}` : parts.join(':').replace(/^0/, '')
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** Per second; small rates keep a digit. */
export function rate(value: number): string {
  return value > 0 && value < 9.95 ? digits(value, 1) : count(value)
}

/** Of bytes in so many seconds. */
export function byteRate(bytes: number, seconds: number): string {
  const each = seconds > 0 ? bytes / seconds : 0
  if (each < 1_024) return `${count(each)} B/s`
  return each < 1_048_576 ? `${digits(each / 1_024, 1)} KiB/s` : `${digits(each / 1_048_576, 1)} MiB/s`
}

export function mebibytes(bytes: number): string {
  return `${count(bytes / 1_048_576)} MiB`
}

export function percentiles({ count: measured, p50, p95, p99, max }: Percentiles): string {
  if (measured === 0) return 'nothing measured'
  return `p50 ${duration(p50)}  p95 ${duration(p95)}  p99 ${duration(p99)}  max ${duration(max)}`
}

export type Unit = 'count' | 'rate' | 'share' | 'ms' | 'µs' | 'bytes'

export function measure(value: number | null, unit: Unit): string {
  if (value === null) return '–'
  if (unit === 'ms') return duration(value)
  if (unit === 'µs') return `${count(value)} µs`
  if (unit === 'share') return `${Number((value * 100).toFixed(1))} %`
  if (unit === 'bytes') return mebibytes(value)
  return unit === 'rate' ? rate(value) : count(value)
}

/** What an expression was measured as, in the unit of its metric. */
export function measuredText(expression: string, value: number | null): string {
  if (value === null) return 'not measured'
  if (/\b(connect|acknowledge|deliver|cut|late)\./.test(expression)) return duration(value)
  if (/\bconnected\b/.test(expression)) return `${digits(value * 100, 2)} %`
  return digits(value, 2)
}

/** Of a protocol level; none is said in summaries of older versions. */
export function protocolText(level: 3 | 4 | 5 | undefined): string {
  return `MQTT ${level === 5 ? '5' : level === 3 ? '3.1' : '3.1.1'}`
}

/** 1 says that nothing was breached, but something could not be carried out or proven. */
export function verdictWord(exitCode: 0 | 1 | 99): string {
  return { 0: 'passed', 1: 'not proven', 99: 'failed' }[exitCode]
}

/** Names come from files and brokers: control characters and those that turn the direction of text are shown as ·. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '·')
}

function digits(value: number, most: number): string {
  return String(Number(value.toFixed(most)))
}

/** What stands before an event: `✗` where something failed, `!` where the simulator reached a limit and measurements are doubtful. */
export function eventMark(kind: RunEvent['kind'], good: boolean): string {
  if (!good) return '✗ '
  return kind === 'limit' ? '! ' : ''
}
