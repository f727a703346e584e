// Reading values off the command line: ports, counts, and options that may be given several times.
import { InvalidArgumentError } from 'commander'

/** Under this heading help lists the options of every command that talks to a service, last. */
export const SERVICE_OPTIONS = 'Service:'

/** A TCP port; 0 picks a free one. */
export function portNumber(text: string): number {
  return wholeNumber(0, 65_535)(text)
}

/** A parser for a whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return text => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
    return value
  }
}

const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** A time such as 90s, 15m, 12h or 7d, in seconds; 0 is 0. */
export function durationSeconds(text: string): number {
  const [, count = '', unit = 's'] = /^(0|[1-9]\d{0,6})([smhd])$/.exec(text === '0' ? '0s' : text) ?? []
  if (count === '') throw new InvalidArgumentError('It must be a time such as 90s, 15m, 12h or 7d.')
  return Number(count) * (unitSeconds[unit] ?? 1)
}

/** For options given several times. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text]
}

/** `k=v`, given several times. A key given twice is a mistake, not a choice. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It must have the form key=value.')
  const key = text.slice(0, at)
  if (before && Object.hasOwn(before, key)) throw new InvalidArgumentError(`The key ${key} is given twice.`)
  // No prototype, so that a key such as __proto__ is an ordinary key that the service can refuse.
  return Object.assign(Object.create(null), before, { [key]: text.slice(at + 1) })
}
