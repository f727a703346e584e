// The names by which a certificate may call its device, read from its structure. Hints are made of them, never decisions.
import { namesOf } from '../../pki/names.ts'

/** How a device is named in a subjectAltName URI. */
export const DEVICE_URN = 'urn:rollcall:device:'

const NAMES_MAX = 8

/** CN, and dNSName and URI of the subjectAltName, each also in the part that may be an ID. None where it cannot be read. */
export function namesIn(der: Buffer): string[] {
  try {
    const { commonNames, sans } = namesOf(der)
    const alternatives = sans.flatMap(({ type, value }) => {
      if (type === 'dns') return [value, value.split('.', 1)[0]!]
      return type === 'url' ? [lastPart(value)] : []
    })
    const names = [...commonNames, ...alternatives]
    return [...new Set(names.flatMap(name => [name, name.toLowerCase()]))].slice(0, NAMES_MAX)
  } catch {
    return []
  }
}

function lastPart(uri: string): string {
  return uri.toLowerCase().startsWith(DEVICE_URN)
    ? uri.slice(DEVICE_URN.length)
    : uri.replace(/\/+$/, '').replace(/^.*[/:]/s, '')
}
