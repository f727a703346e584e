// Walks DER (X.690) element by element without reading what is inside: for values too long to be taken apart at once, and
// for values whose shape a library does not know. Definite lengths and low tag numbers; anything else throws a DerError.

export type DerElement = {
  tag: number
  /** Where tag, content and the element's end are in the bytes. */
  start: number
  content: number
  end: number
}

/** Bytes that are not what they should be. The message says what is wrong, and never quotes the bytes. */
export class DerError extends Error {
  override readonly name = 'DerFault'
}

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const

/** The element that begins here; it must end within `limit`. Throws where it does not, or is no DER. */
export function elementAt(bytes: Buffer, start: number, limit = bytes.length): DerElement {
  const tag = bytes[start]
  const first = bytes[start + 1]
  if (tag === undefined || first === undefined || start + 2 > limit) throw new DerError('DER ends too early')
  if ((tag & 0x1f) === 0x1f) throw new DerError('DER with a high tag number')
  const octets = first < 0x80 ? 0 : first & 0x7f
  if (first === 0x80 || octets > 4) throw new DerError('DER of indefinite or absurd length')
  const content = start + 2 + octets
  if (content > limit) throw new DerError('DER ends too early')
  const length = octets === 0 ? first : bytes.readUIntBE(start + 2, octets)
  // X.690 §10.1: the fewest octets. Libraries that encode anew give such bytes another fingerprint.
  if (octets > 0 && (length < 0x80 || bytes[start + 2] === 0))
    throw new DerError('DER with a length in more octets than it needs')
  const end = content + length
  if (end > limit) throw new DerError('DER ends too early')
  return { tag, start, content, end }
}

/** The elements of one, in order. */
export function* elementsOf(bytes: Buffer, { content, end }: DerElement): Generator<DerElement, void> {
  for (let at = content; at < end; ) {
    const element = elementAt(bytes, at, end)
    yield element
    at = element.end
  }
}

/** The one element that these bytes are. Throws where bytes follow it, or it has another tag. */
export function wholeElement(bytes: Buffer, tag: number): DerElement {
  const element = elementAt(bytes, 0)
  if (element.end !== bytes.length) throw new DerError('bytes follow the end of a value')
  return withTag(element, tag)
}

/** The element itself. Throws where it is missing or has another tag. */
export function withTag(element: DerElement | undefined, tag: number): DerElement {
  if (element === undefined) throw new DerError('a part is missing')
  if (element.tag !== tag) {
    throw new DerError(`a part has the tag 0x${element.tag.toString(16)}, not 0x${tag.toString(16)}`)
  }
  return element
}

/** Its bytes, tag and length included. */
export function encodingOf(bytes: Buffer, { start, end }: DerElement): Buffer {
  return bytes.subarray(start, end)
}

export function contentOf(bytes: Buffer, { content, end }: DerElement): Buffer {
  return bytes.subarray(content, end)
}

const ARC_MAX = 2n ** 128n

/** An OBJECT IDENTIFIER in dotted decimal (X.690 §8.19). */
export function oidOf(bytes: Buffer, element: DerElement | undefined): string {
  const content = contentOf(bytes, withTag(element, tags.oid))
  if (content.length === 0 || content.at(-1)! >= 0x80) throw new DerError('an object identifier is cut off')
  const arcs: bigint[] = []
  let arc = 0n
  for (const octet of content) {
    arc = arc * 128n + BigInt(octet & 0x7f)
    if (arc >= ARC_MAX) throw new DerError('an object identifier has an absurd number')
    if (octet >= 0x80) continue
    if (arcs.length === 0) {
      const first = arc < 40n ? 0n : arc < 80n ? 1n : 2n
      arcs.push(first, arc - first * 40n)
    } else arcs.push(arc)
    arc = 0n
  }
  return arcs.join('.')
}

/** TRUE is 0xFF (X.690 §11.1). */
export function booleanOf(bytes: Buffer, element: DerElement | undefined): boolean {
  const content = contentOf(bytes, withTag(element, tags.boolean))
  if (content.length !== 1) throw new DerError('a boolean is not one octet')
  if (content[0] !== 0 && content[0] !== 0xff) throw new DerError('a boolean is neither 0x00 nor 0xFF')
  return content[0] !== 0
}

/** A non-negative INTEGER below 2^31. */
export function smallIntegerOf(bytes: Buffer, element: DerElement): number {
  const content = contentOf(bytes, element)
  if (content.length === 0 || content.length > 4 || content[0]! >= 0x80) {
    throw new DerError('a number is negative, empty or too large')
  }
  return content.readUIntBE(0, content.length)
}
