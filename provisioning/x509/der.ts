// DER (X.690) of small values, written by asn1js, so that long lists can be put together from parts.
// What is DER already goes in as it is; refuses to know what any of it means.
import * as asn1js from 'asn1js'

/** A SEQUENCE of parts that are DER already. */
export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return wrapped(1, 16, parts)
}

/** A SET of parts that are DER already, in the order that they have. */
export function setOf(...parts: readonly Uint8Array[]): Buffer {
  return wrapped(1, 17, parts)
}

/** Parts under a tag such as `[0]`: one for an explicit tag, those of a SEQUENCE for an implicit one. */
export function tagged(number: number, ...parts: readonly Uint8Array[]): Buffer {
  return wrapped(3, number, parts)
}

/** A NULL under an implicit tag. */
export function empty(number: number): Buffer {
  return encoded(
    new asn1js.Primitive({ idBlock: { tagClass: 3, tagNumber: number }, valueHex: new Uint8Array() }),
  )
}

/** A positive INTEGER from hex. */
export function integer(hex: string): Buffer {
  const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  const positive = (octets[0] ?? 0) < 0x80 ? octets : Buffer.concat([Buffer.of(0), octets])
  return encoded(new asn1js.Integer({ valueHex: positive }))
}

export function enumerated(value: number): Buffer {
  return encoded(new asn1js.Enumerated({ value }))
}

export function oid(value: string): Buffer {
  return encoded(new asn1js.ObjectIdentifier({ value }))
}

export function octetString(content: Uint8Array): Buffer {
  return encoded(new asn1js.OctetString({ valueHex: content }))
}

export function bitString(content: Uint8Array): Buffer {
  return encoded(new asn1js.BitString({ valueHex: content }))
}

/** A named bit list with one bit set (X.690 §11.2.2: no trailing zero bits). */
export function namedBit(bit: number): Buffer {
  const octets = Buffer.alloc((bit >> 3) + 1)
  octets[bit >> 3] = 0x80 >> (bit & 7)
  return encoded(new asn1js.BitString({ valueHex: octets, unusedBits: 7 - (bit & 7) }))
}

export function utf8String(text: string): Buffer {
  return encoded(new asn1js.Utf8String({ value: text }))
}

export function nothing(): Buffer {
  return encoded(new asn1js.Null())
}

/** In whole seconds. */
export function generalizedTime(at: number): Buffer {
  return encoded(new asn1js.GeneralizedTime({ valueDate: wholeSeconds(at) }))
}

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280 §4.1.2.5), in whole seconds. */
export function time(at: number): Buffer {
  const valueDate = wholeSeconds(at)
  return valueDate.getUTCFullYear() < 2050 ? encoded(new asn1js.UTCTime({ valueDate })) : generalizedTime(at)
}

function wholeSeconds(at: number): Date {
  return new Date(Math.floor(at / 1000) * 1000)
}

function wrapped(tagClass: number, tagNumber: number, parts: readonly Uint8Array[]): Buffer {
  const block = new asn1js.Primitive({ idBlock: { tagClass, tagNumber }, valueHex: Buffer.concat(parts) })
  block.idBlock.isConstructed = true
  return encoded(block)
}

function encoded(block: asn1js.BaseBlock): Buffer {
  return Buffer.from(block.toBER(false))
}
