// Walks DER (X.690) element by element without reading what is inside: for values too long to be taken apart at once.
// Definite lengths and low tag numbers, as DER has them; anything else throws.

export type DerElement = {
  tag: number
  /** Where tag, content and the element's end are in the bytes. */
  start: number
  content: number
  end: number
}

/** The element that begins here; it must end within `limit`. Throws a RangeError where it does not, or is no DER. */
export function elementAt(bytes: Buffer, start: number, limit = bytes.length): DerElement {
  const tag = bytes[start]
  const first = bytes[start + 1]
  if (tag === undefined || first === undefined || start + 2 > limit)
    throw new RangeError('DER ends too early')
  if ((tag & 0x1f) === 0x1f) throw new RangeError('DER with a high tag number')
  const octets = first < 0x80 ? 0 : first & 0x7f
  if (first === 0x80 || octets > 4) throw new RangeError('DER of indefinite or absurd length')
  const content = start + 2 + octets
  if (content > limit) throw new RangeError('DER ends too early')
  const end = content + (octets === 0 ? first : bytes.readUIntBE(start + 2, octets))
  if (end > limit) throw new RangeError('DER ends too early')
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

/** Its bytes, tag and length included. */
export function encodingOf(bytes: Buffer, { start, end }: DerElement): Buffer {
  return bytes.subarray(start, end)
}

export function contentOf(bytes: Buffer, { content, end }: DerElement): Buffer {
  return bytes.subarray(content, end)
}
