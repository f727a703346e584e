// A message between nodes, as bytes: all that MQTT 5 lets travel with it, its publisher and its end. Whatever bytes come, they are a whole
// message or none.
import { isUtf8 } from 'node:buffer'
import { FORMATS, type Formats } from '../../../db/cluster/formats.ts'
import type { Message, QoS } from '../message.ts'
import { readBytes } from '../protocol/byte-reader.ts'
import { readProperties } from '../protocol/properties.ts'
import type { Principal } from '../rights-resolver.ts'

/** A message of another node; its number there is 0 where it is not in the log. `principal` is of what is retained. */
export type Envelope = {
  publisherNode: number
  number: number
  message: Omit<Message, 'sequence'>
  principal: (Principal & { isBackend: boolean }) | null
  /** Whether it is for those shared subscriptions alone: others have had it. */
  onlyShared: boolean
  /** Of each shared subscription that it matches, as asked for: the node whose members get it. */
  shares: ReadonlyMap<string, number>
}

export type EnvelopeCodec = { encode(envelope: Envelope): Buffer; decode(bytes: Buffer): Envelope | null }

/** Of a node that reads these formats; `written` gives the one that all write now. */
export function createEnvelopeCodec(formats: Formats, written: () => number): EnvelopeCodec {
  return {
    encode: envelope => encodeEnvelope(envelope, written()),
    decode: bytes => decodeEnvelope(bytes, formats),
  }
}

const [RETAIN, EXPIRES, HAS_PRINCIPAL, IS_BACKEND, ONLY_SHARED] = [0x04, 0x08, 0x10, 0x20, 0x40]
/** Their number takes 16 bits. */
const SHARES_MAX = 65_535

export function encodeEnvelope(
  { publisherNode, number, message, principal, onlyShared, shares }: Envelope,
  format = FORMATS.newest,
): Buffer {
  const { topic, payload, qos, retain, publisher, properties, expiresAt } = message
  const flags =
    qos |
    (retain ? RETAIN : 0) |
    (expiresAt === null ? 0 : EXPIRES) |
    (principal === null ? 0 : HAS_PRINCIPAL) |
    (principal?.isBackend ? IS_BACKEND : 0) |
    (onlyShared ? ONLY_SHARED : 0)
  const head = Buffer.allocUnsafe(22)
  head[0] = format
  head[1] = flags
  head.writeUIntBE(publisherNode, 2, 6)
  head.writeUIntBE(number, 8, 6)
  head.writeDoubleBE(expiresAt ?? 0, 14)
  const pieces = [head, text(topic), text(publisher), blob(properties)]
  if (principal !== null)
    pieces.push(text(principal.deviceId), text(principal.issuerId), text(principal.serialNumber))
  const told = shares.size > SHARES_MAX ? [...shares].slice(0, SHARES_MAX) : shares
  pieces.push(uint16(Math.min(shares.size, SHARES_MAX)))
  for (const [asked, node] of told) {
    const to = Buffer.allocUnsafe(6)
    to.writeUIntBE(node, 0, 6)
    pieces.push(text(asked), to)
  }
  pieces.push(payload)
  return Buffer.concat(pieces)
}

/** Null where these bytes are no message, one of another format, or one that no client could have published. Its payload shares their memory. */
export function decodeEnvelope(bytes: Buffer, formats = FORMATS): Envelope | null {
  try {
    return decoded(bytes, formats)
  } catch {
    return null // a field does not end within, or is not what it says
  }
}

function decoded(bytes: Buffer, { oldest, newest }: Formats): Envelope | null {
  const format = bytes[0] ?? 0
  if (format < oldest || format > newest) return null
  const flags = bytes[1]!
  const qos = flags & 3
  if (qos === 3) return null
  const expiresAt = bytes.readDoubleBE(14)
  let at = 22
  const take = (length: number) => {
    if (at + length > bytes.length) throw new Error('it ends within a field')
    at += length
    return bytes.subarray(at - length, at)
  }
  const readText = (): string | null => {
    const length = take(2).readUInt16BE(0)
    if (length === NONE) return null
    const found = take(length)
    if (!isUtf8(found)) throw new Error('a text is not UTF-8')
    return found.toString()
  }
  const topic = readText()
  if (topic === null || topic === '' || /[\0+#]/.test(topic) || topic.startsWith('$')) return null
  const publisher = readText()
  const propertyBytes = take(take(4).readUInt32BE(0))
  const principal =
    flags & HAS_PRINCIPAL ? { deviceId: readText(), issuerId: readText(), serialNumber: readText() } : null
  if (principal !== null && (principal.deviceId === null || principal.serialNumber === null)) return null
  const count = take(2).readUInt16BE(0)
  const shares = new Map<string, number>()
  for (let n = 0; n < count; n += 1) shares.set(readText() ?? '', take(6).readUIntBE(0, 6))
  return {
    publisherNode: bytes.readUIntBE(2, 6),
    number: bytes.readUIntBE(8, 6),
    message: {
      topic,
      payload: bytes.subarray(at),
      qos: qos as QoS,
      retain: (flags & RETAIN) !== 0,
      publisher,
      properties: travelling(propertyBytes),
      expiresAt: flags & EXPIRES && Number.isFinite(expiresAt) ? expiresAt : null,
    },
    principal:
      principal === null ? null : { ...(principal as Principal), isBackend: (flags & IS_BACKEND) !== 0 },
    onlyShared: (flags & ONLY_SHARED) !== 0,
    shares,
  }
}

/** Clients are sent these bytes as they are. @throws where they are no properties of a PUBLISH */
function travelling(bytes: Buffer): Buffer | null {
  if (bytes.length === 0) return null
  const whole = Buffer.concat([variable(bytes.length), bytes])
  const { travelling: own } = readProperties(whole, readBytes(whole, 0), 'publish')
  return own
}

function variable(value: number): Buffer {
  const octets: number[] = []
  let rest = value
  do {
    octets.push((rest & 0x7f) | (rest > 127 ? 0x80 : 0))
    rest >>= 7
  } while (rest > 0)
  return Buffer.from(octets)
}

/** Longer than any text of MQTT but one: a topic of 65,535 bytes, which no node takes. */
const NONE = 0xffff

function text(value: string | null): Buffer {
  if (value === null) return uint16(NONE)
  const bytes = Buffer.from(value)
  if (bytes.length >= NONE) throw new Error('a text is too long for the bus')
  return Buffer.concat([uint16(bytes.length), bytes])
}

function blob(bytes: Buffer | null): Buffer {
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(bytes?.length ?? 0)
  return bytes === null ? length : Buffer.concat([length, bytes])
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}
