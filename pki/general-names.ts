// GeneralNames (RFC 5280 §4.2.1.6) read from their DER: all nine forms, those too that name nobody here.
import { isIPv6 } from 'node:net'
import {
  contentOf,
  type DerElement,
  DerError,
  elementAt,
  elementsOf,
  encodingOf,
  oidOf,
  tags,
  withTag,
} from './der-reader.ts'
import { comparableName } from './distinguished-name.ts'

type GeneralNameType = 'other' | 'email' | 'dns' | 'x400' | 'directory' | 'edi' | 'url' | 'ip' | 'id'

export type GeneralName = {
  type: GeneralNameType
  /** The text of a name that is one; an address or an object identifier as it is printed; of all others hex. */
  value: string
  /** Of an otherName: what kind of name it is, and the DER of the name. */
  other?: { oid: string; der: Buffer }
}

/** The names in the content of a SEQUENCE OF GeneralName. Throws a `DerError`, also where there is none. */
export function generalNamesOf(bytes: Buffer, sequence: DerElement): GeneralName[] {
  const names = [...elementsOf(bytes, sequence)].map(element => generalNameOf(bytes, element))
  if (names.length === 0) throw new DerError('it holds no name')
  return names
}

/** Throws a `DerError`. */
export function generalNameOf(bytes: Buffer, element: DerElement): GeneralName {
  const content = contentOf(bytes, element)
  switch (element.tag) {
    case 0xa0:
      return otherName(bytes, element)
    case 0x81:
      return { type: 'email', value: content.toString('latin1') }
    case 0x82:
      return { type: 'dns', value: content.toString('latin1') }
    case 0xa3:
      return { type: 'x400', value: content.toString('hex') }
    case 0xa4: {
      const name = withTag(elementAt(bytes, element.content, element.end), tags.sequence)
      if (name.end !== element.end) throw new DerError('a directory name is malformed')
      return { type: 'directory', value: comparableName(encodingOf(bytes, name)) }
    }
    case 0xa5:
      // [0] nameAssigner and [1] partyName, which must be there.
      if (![...elementsOf(bytes, element)].some(({ tag }) => tag === 0xa1)) {
        throw new DerError('an ediPartyName has no party')
      }
      return { type: 'edi', value: content.toString('hex') }
    case 0x86:
      return { type: 'url', value: content.toString('latin1') }
    case 0x87:
      return { type: 'ip', value: addressOf(content) }
    case 0x88:
      return { type: 'id', value: oidOf(bytes, { ...element, tag: tags.oid }) }
    default:
      throw new DerError(`0x${element.tag.toString(16)} is no form of a name`)
  }
}

/** AnotherName: an object identifier, and the name under an explicit [0]. */
function otherName(bytes: Buffer, element: DerElement): GeneralName {
  const [type, tagged, more] = elementsOf(bytes, element)
  const oid = oidOf(bytes, type)
  const wrapped = withTag(tagged, 0xa0)
  const value = elementAt(bytes, wrapped.content, wrapped.end)
  if (more !== undefined || value.end !== wrapped.end) throw new DerError('an otherName is malformed')
  const der = encodingOf(bytes, value)
  return { type: 'other', value: der.toString('hex'), other: { oid, der } }
}

function addressOf(content: Buffer): string {
  if (content.length === 4) return content.join('.')
  const groups = content.toString('hex').match(/.{4}/g)?.join(':') ?? ''
  if (content.length !== 16 || !isIPv6(groups)) throw new DerError('an IP address is neither 4 nor 16 octets')
  return new URL(`http://[${groups}]`).hostname.slice(1, -1)
}
