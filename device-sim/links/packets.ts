// The MQTT packets that a device sends and hears all the time, as bytes: PUBLISH, acknowledgements, and a reader that
// avoids copies. Bounded; bytes that are no packet are malformed. Does not know sessions.
import { messageProperties, propertyBytes, readProperties } from './properties.ts'
import type { Incoming, Outgoing, Qos } from './session.ts'

/** Packet types of MQTT 3.1.1 §2.2.1 and MQTT 5 §2.1.2 that a broker sends. */
export const packetTypes = {
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  suback: 9,
  pingresp: 13,
  disconnect: 14,
} as const

export const PINGREQ = Buffer.from([0xc0, 0])
export const DISCONNECT = Buffer.from([0xe0, 0])

/** The largest packet that is waited for. */
const PACKET_BYTES_MAX = 4_194_304
const DUP = 0x08

/**
 * At QoS 0 `messageId` is not sent. In version 5 with properties: `alias` stands beside the topic, or for it where the
 * topic is empty; 0 for none.
 */
export function publishPacket(
  { topic, payload, qos, retain = false, properties = null }: Outgoing,
  messageId: number,
  v5 = false,
  alias = 0,
): Buffer {
  const topicBytes = Buffer.byteLength(topic)
  const payloadBytes = Buffer.byteLength(payload)
  const own = v5 && (properties !== null || alias > 0) ? propertyBytes(properties, alias) : null
  const ownBytes = own === null ? (v5 ? 1 : 0) : lengthBytes(own.length) + own.length
  const length = 2 + topicBytes + (qos === 0 ? 0 : 2) + ownBytes + payloadBytes
  const packet = Buffer.allocUnsafe(1 + lengthBytes(length) + length)
  packet[0] = (packetTypes.publish << 4) | (qos << 1) | (retain ? 1 : 0)
  let at = writeLength(packet, length)
  at = packet.writeUInt16BE(topicBytes, at)
  at += packet.write(topic, at)
  if (qos > 0) at = packet.writeUInt16BE(messageId, at)
  if (own) {
    at = writeLength(packet, own.length, at)
    at += own.copy(packet, at)
  } else if (v5) packet[at++] = 0
  if (typeof payload === 'string') packet.write(payload, at)
  else payload.copy(packet, at)
  return packet
}

/** Marks a PUBLISH as sent before. [MQTT-3.3.1-1] */
export function markDup(publish: Buffer): void {
  publish[0] = (publish[0] ?? 0) | DUP
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP. */
export function acknowledgement(type: 4 | 5 | 6 | 7, messageId: number): Buffer {
  // [MQTT-3.6.1-1]
  const flags = type === packetTypes.pubrel ? 2 : 0
  return Buffer.from([(type << 4) | flags, 2, messageId >> 8, messageId & 0xff])
}

/** `alias` is 0 where the packet has none; `topic` is empty where only the alias stands for it. */
export type ReadPublish = Incoming & { messageId: number; alias: number }

/** A PUBLISH from its first byte and what follows its length; the payload is a view of it. Null where it is none. */
export function readPublish(first: number, body: Buffer, v5 = false): ReadPublish | null {
  const qos = (first >> 1) & 3
  if (qos === 3 || body.length < 2) return null
  const topicEnd = 2 + body.readUInt16BE(0)
  const from = topicEnd + (qos === 0 ? 0 : 2)
  if (from > body.length) return null
  const own = v5 ? readProperties(body, from) : null
  if (v5 && !own) return null
  const { properties, alias } = own ? messageProperties(own.list) : { properties: null, alias: 0 }
  return {
    topic: body.toString('utf8', 2, topicEnd),
    payload: body.subarray(own ? own.end : from),
    qos: qos as Qos,
    dup: (first & DUP) !== 0,
    messageId: qos === 0 ? 0 : body.readUInt16BE(topicEnd),
    alias,
    properties,
  }
}

/**
 * Bytes in, packets out: `take` gets the first byte of each and what follows its length. Those bytes are only valid
 * until `take` returns. `left` is what came before and was no whole packet.
 * @returns the bytes left; `malformed` for an invalid length or one out of bounds.
 */
export function readPackets<Of>(
  left: Buffer | null,
  bytes: Buffer,
  of: Of,
  take: (of: Of, first: number, body: Buffer) => void,
): Buffer | null | 'malformed' {
  let all = left === null ? bytes : Buffer.concat([left, bytes])
  while (all.length >= 2) {
    const { length, from } = readLength(all)
    if (length > PACKET_BYTES_MAX) return 'malformed'
    if (from < 0 || all.length < from + length) break
    take(of, all[0] ?? 0, all.subarray(from, from + length))
    all = all.subarray(from + length)
  }
  return all.length === 0 ? null : Buffer.from(all)
}

/** `from` is where the body begins; -1 where the length is not complete yet. MQTT 3.1.1 §2.2.3. */
function readLength(bytes: Buffer): { length: number; from: number } {
  let length = 0
  for (let at = 1; at < bytes.length; at++) {
    const byte = bytes[at] as number
    length += (byte & 0x7f) * 128 ** (at - 1)
    if (byte < 0x80) return { length, from: at + 1 }
    if (at === 4) return { length: Number.POSITIVE_INFINITY, from: -1 }
  }
  return { length: 0, from: -1 }
}

export function lengthBytes(length: number): number {
  return length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : 4
}

/** @returns where it ends. */
export function writeLength(packet: Buffer, length: number, from = 1): number {
  let at = from
  let rest = length
  while (rest >= 128) {
    packet[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  packet[at++] = rest
  return at
}
