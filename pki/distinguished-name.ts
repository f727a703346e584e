// Distinguished names (RFC 5280 §4.1.2.4) read from their DER: every attribute with its value as text, whatever string type
// it is written in. Printed names are ambiguous and are never parsed.
import {
  contentOf,
  DerError,
  elementsOf,
  encodingOf,
  oidOf,
  tags,
  wholeElement,
  withTag,
} from './der-reader.ts'

/** `value` is the text; of a value that is no string, '#' and its DER in hex (RFC 4514 §2.4). */
export type NameAttribute = {
  oid: string
  value: string
  isText: boolean
  /** Which RelativeDistinguishedName of the name holds it, counted from 0. */
  relative: number
}

export const attributeTypes = { commonName: '2.5.4.3', serialNumber: '2.5.4.5' } as const

/** The attributes in the order they stand. Throws a `DerError`. */
export function readName(der: Buffer): NameAttribute[] {
  const attributes: NameAttribute[] = []
  let relative = 0
  for (const set of elementsOf(der, wholeElement(der, tags.sequence))) {
    for (const element of elementsOf(der, withTag(set, tags.set))) {
      const [type, value, more] = elementsOf(der, withTag(element, tags.sequence))
      if (value === undefined || more !== undefined) throw new DerError('an attribute of a name is malformed')
      const oid = oidOf(der, type)
      const text = textOf(value.tag, contentOf(der, value))
      attributes.push(
        text === null
          ? { oid, value: `#${encodingOf(der, value).toString('hex')}`, isText: false, relative }
          : { oid, value: text, isText: true, relative },
      )
    }
    relative += 1
  }
  return attributes
}

/** Equal names give equal texts, whichever string types they are written in (RFC 5280 §7.1). */
export function comparableName(der: Buffer): string {
  return JSON.stringify(readName(der).map(({ relative, oid, value }) => [relative, oid, value]))
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf16 = new TextDecoder('utf-16be', { fatal: true, ignoreBOM: true })

/** The text of a string type (X.680 §41), or null where it is none. Throws a `DerError` where the octets are no such text. */
export function textOf(tag: number, content: Buffer): string | null {
  switch (tag) {
    case 0x0c: // UTF8String
      return decoded(utf8, content)
    case 0x12: // NumericString
    case 0x13: // PrintableString
    case 0x16: // IA5String
    case 0x1a: // VisibleString
      return content.toString('latin1')
    case 0x14: // TeletexString, which everybody writes as Latin-1
      return content.toString('latin1')
    case 0x1e: // BMPString
      return decoded(utf16, content)
    case 0x1c: // UniversalString
      return universalText(content)
    default:
      return null
  }
}

function decoded(decoder: TextDecoder, content: Buffer): string {
  try {
    return decoder.decode(content)
  } catch {
    throw new DerError('a name is not written in the encoding of its type')
  }
}

function universalText(content: Buffer): string {
  if (content.length % 4 !== 0) throw new DerError('a name is not written in the encoding of its type')
  const points: number[] = []
  for (let at = 0; at < content.length; at += 4) points.push(content.readUInt32BE(at))
  if (points.some(point => point > 0x10ffff)) {
    throw new DerError('a name is not written in the encoding of its type')
  }
  return String.fromCodePoint(...points)
}
