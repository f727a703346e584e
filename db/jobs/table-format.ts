// How a table of devices is written that a spreadsheet made: its delimiter, its headings, UTF-16. Pure, for the service that imports
// the table and for the console that shows its columns.

const delimiters = [',', ';', '\t'] as const
export type Delimiter = (typeof delimiters)[number]

/** Headings as people write them, as `wordOf` gives them, and the field of a row that each stands for. */
export const fieldsByHeading: Readonly<Record<string, string>> = {
  deviceid: 'deviceId',
  device: 'deviceId',
  devicename: 'deviceId',
  clientid: 'deviceId',
  thing: 'deviceId',
  certificate: 'certificate',
  cert: 'certificate',
  certificatepem: 'certificate',
  pem: 'certificate',
  csr: 'csr',
  request: 'csr',
  certificaterequest: 'csr',
  certificatesigningrequest: 'csr',
  group: 'groups',
  groups: 'groups',
  days: 'days',
  validity: 'days',
  validitydays: 'days',
  trust: 'trust',
  state: 'state',
}

/** A heading in lower case without blanks and signs. */
export function wordOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '')
}

/** The delimiter that stands most often between the names of the first line that has some. */
export function delimiterOf(text: string): Delimiter {
  const line = text.replace(/^\ufeff/, '').match(/[^\r\n]+/)?.[0] ?? ''
  const plain = line.replaceAll(/"(?:[^"]|"")*"/g, '')
  const counted = delimiters.map(delimiter => ({ delimiter, count: plain.split(delimiter).length }))
  return counted.reduce((most, one) => (one.count > most.count ? one : most)).delimiter
}

/** Whether bytes are UTF-16, by the byte order mark or by the zeros of the first two characters. */
export function utf16Of([first, second, third, fourth]: Uint8Array): 'utf-16le' | 'utf-16be' | null {
  if (first === 0xff && second === 0xfe) return 'utf-16le'
  if (first === 0xfe && second === 0xff) return 'utf-16be'
  if (first !== 0 && second === 0 && third !== 0 && fourth === 0) return 'utf-16le'
  if (first === 0 && second !== 0 && third === 0 && fourth !== 0) return 'utf-16be'
  return null
}
