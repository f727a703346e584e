// Times in text (RFC 3339): the moment they name, or nothing. What JavaScript makes of a text that is no time compares as
// false with everything, so that whatever it is held against seems to hold: no other file parses a time.

const FORM = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/

/** Milliseconds since the epoch; null where the text names no moment, such as one of February 30. */
export function parseInstant(text: string): number | null {
  const [, date, clock, fraction = '', zone] = FORM.exec(text) ?? []
  if (date === undefined || clock === undefined || zone === undefined) return null
  const wall = `${date}T${clock}.000Z`
  const local = new Date(wall)
  // A date that JavaScript rounds to another (February 30, hour 24) does not print as it was written.
  if (Number.isNaN(local.getTime()) || local.toISOString() !== wall) return null
  const at = Date.parse(`${date}T${clock}${fraction.slice(0, 4)}${zone.toUpperCase()}`)
  return Number.isNaN(at) ? null : at
}

/** An HTTP date (RFC 9110 §5.6.7), in ms since the epoch; null where the text is none. */
export function parseHttpDate(text: string): number | null {
  if (!/^[A-Z][a-z]{2,8}[ ,]/.test(text)) return null
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : at
}
