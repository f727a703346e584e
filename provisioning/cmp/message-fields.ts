// The fields of a DER structure in their order, each with its name, so that a fault says which one it is. Knows no CMP.
import {
  contentOf,
  type DerElement,
  DerError,
  elementAt,
  elementsOf,
  tags,
  withTag,
} from '../../pki/der-reader.ts'
import { CmpFault } from './cmp-problems.ts'

export type Fields = {
  /** The next field, which must be there; of any tag where none is given. */
  next(name: string, tag?: number): DerElement
  /** The next field if it has this tag. */
  nextIf(tag: number): DerElement | null
  /** Whether anything is left. */
  more(): boolean
  /** Throws where fields are left. */
  end(): void
}

/** The fields of a SEQUENCE, or of what takes its place under an implicit tag. */
export function fieldsOf(der: Buffer, element: DerElement): Fields {
  const fields = [...elementsOf(der, element)]
  let at = 0
  return {
    next(name, tag) {
      const field = fields[at]
      if (field === undefined) throw new DerError(`${name} is missing`)
      if (tag !== undefined && field.tag !== tag)
        throw new DerError(`${name} has the tag 0x${field.tag.toString(16)}, not 0x${tag.toString(16)}`)
      at += 1
      return field
    },
    nextIf(tag) {
      const field = fields[at]
      if (field === undefined || field.tag !== tag) return null
      at += 1
      return field
    },
    more: () => at < fields.length,
    end() {
      if (at < fields.length) throw new DerError('fields follow that do not belong there')
    },
  }
}

/** The one element inside an explicit tag. */
export function inside(der: Buffer, element: DerElement, tag?: number): DerElement {
  const inner = elementAt(der, element.content, element.end)
  if (inner.end !== element.end) throw new DerError('more than one value stands under a tag')
  return tag === undefined ? inner : withTag(inner, tag)
}

/** What an OCTET STRING under an explicit tag holds. */
export function octetsInside(der: Buffer, element: DerElement, most: number): Buffer {
  const octets = contentOf(der, inside(der, element, tags.octetString))
  if (octets.length > most) throw new DerError(`it has ${octets.length} octets, more than ${most}`)
  return octets
}

/** What a BIT STRING holds whose bits fill whole octets. */
export function wholeOctets(der: Buffer, element: DerElement): Buffer {
  const content = contentOf(der, withTag(element, tags.bitString))
  if (content[0] !== 0) throw new DerError('a bit string does not fill its octets')
  return content.subarray(1)
}

/** What a reading gives. Whatever it throws about the octets of a stranger is what is wrong with them, at `path`. */
export function readingPart<T>(path: string, reading: () => T): T {
  try {
    return reading()
  } catch (error) {
    if (error instanceof CmpFault) throw error
    const why = error instanceof DerError ? error.message : 'it cannot be read'
    throw new CmpFault('badDataFormat', `${path}: ${why}`)
  }
}
