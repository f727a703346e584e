// Times on the command line: one of RFC 3339, or so long ago or ahead; and ranges of them.
import { InvalidArgumentError } from 'commander'
import { parseInstant } from '../pki/instant.ts'
import { durationSeconds } from './options.ts'

/** What `before:`, `after:` and `never` say, as RFC 3339. */
export type When = { before?: string; after?: string; never?: true }

const FORM = 'It must be before:TIME or after:TIME'
const FORMS = 'a length such as 12h or 7d, or a date such as 2026-11-30 or 2026-11-30T08:00:00Z.'

/** A parser of ranges; lengths count backwards from now, or forwards where `ahead`. */
export function whenOf({ ahead = false, never = false } = {}, now: () => number = Date.now) {
  return (text: string, given: When = {}): When => {
    if (never && text === 'never') return { never: true }
    const [, side, time = ''] = /^(before|after):(.+)$/.exec(text) ?? []
    if (side === undefined)
      throw new InvalidArgumentError(`${FORM}${never ? ', or never' : ''}; TIME is ${FORMS}`)
    return { ...given, [side]: instantOf(time, ahead, now()) }
  }
}

/** A parser of one time, now or before. Gives RFC 3339. */
export function pastInstant(text: string): string {
  return instantOf(text, false, Date.now())
}

function instantOf(text: string, ahead: boolean, now: number): string {
  if (/^\d+[smhdw]$/.test(text)) {
    const seconds = text.endsWith('w')
      ? durationSeconds(`${Number.parseInt(text, 10) * 7}d`)
      : durationSeconds(text)
    return new Date(now + (ahead ? 1_000 : -1_000) * seconds).toISOString()
  }
  const at = parseInstant(/^[-\d]{10}$/.test(text) ? `${text}T00:00:00Z` : text)
  if (at === null) throw new InvalidArgumentError(`It must be a time: ${FORMS}`)
  return new Date(at).toISOString()
}
