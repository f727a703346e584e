// UTCTime and GeneralizedTime in the forms of RFC 5280 §4.1.2.5: the moment they name, or nothing. Years are taken as they
// stand; what names no moment (hour 24, second 60, the 31st of April) is never moved to one that it might have meant.

const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18

const FORM = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/

/** Milliseconds since the epoch, or null where the content of this element names no moment. */
export function readAsn1Time(tag: number, content: Buffer): number | null {
  if (tag !== UTC_TIME && tag !== GENERALIZED_TIME) return null
  const text = content.toString('latin1')
  // RFC 5280 §4.1.2.5.1: two digits from 50 on are of the twentieth century.
  const digits = tag === UTC_TIME ? `${text >= '50' ? '19' : '20'}${text}` : text
  const match = FORM.exec(digits)
  if (match === null) return null
  const [, year, month, day, hour, minute, second] = match
  const text8601 = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`
  const at = new Date(text8601)
  // A date that JavaScript rounds to another (the 31st of April, hour 24) does not print as it was written.
  return !Number.isNaN(at.getTime()) && at.toISOString() === text8601 ? at.getTime() : null
}
