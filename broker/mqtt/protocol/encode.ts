// Writes what clients are sent. PUBLISH is written here, for its properties travel as bytes, and once for all receivers of the same
// form; what has properties of our own is written by mqtt-packet.
import mqttPacket from 'mqtt-packet'
import type { Message, QoS } from '../message.ts'
import { frameAt } from './frames.ts'
import type { Version } from './packets.ts'
import type { ReasonCode } from './reason-codes.ts'

/** A PUBLISH; its packet identifier belongs at `identifierAt`, which is 0 where QoS is 0. */
export type EncodedPublish = { bytes: Buffer; identifierAt: number }

export type PublishForm = {
  version: Version
  qos: QoS
  retain: boolean
  dup: boolean
  /** Of version 5, as all below: what is left of the message's life, in seconds. */
  expirySeconds: number | null
  subscriptionIdentifiers: readonly number[]
  /** With `topic` empty the client knows the topic by it; 0 for none. */
  topicAlias: number
  topic: string
}

export function encodePublish(
  { payload, properties }: Pick<Message, 'payload' | 'properties'>,
  form: PublishForm,
): EncodedPublish {
  const { qos, topic } = form
  const topicBytes = Buffer.byteLength(topic)
  const own = form.version === 5 ? ownProperties(form) : null
  const propertyBytes = own === null ? 0 : own.length + (properties?.length ?? 0)
  const propertiesWhole = own === null ? 0 : octetsOf(propertyBytes) + propertyBytes
  const remaining = 2 + topicBytes + (qos > 0 ? 2 : 0) + propertiesWhole + payload.length
  const bytes = Buffer.allocUnsafe(1 + octetsOf(remaining) + remaining)
  bytes[0] = 0x30 | (form.dup ? 0x08 : 0) | (qos << 1) | (form.retain ? 1 : 0)
  let at = writeVariable(bytes, 1, remaining)
  at = bytes.writeUInt16BE(topicBytes, at)
  at += bytes.write(topic, at)
  const identifierAt = qos > 0 ? at : 0
  if (qos > 0) at += 2
  if (own !== null) {
    at = writeVariable(bytes, at, propertyBytes)
    at += own.copy(bytes, at)
    if (properties !== null) at += properties.copy(bytes, at)
  }
  payload.copy(bytes, at)
  return { bytes, identifierAt }
}

const nothing = Buffer.alloc(0)

/** Those that the broker gives it: message expiry, topic alias, subscription identifiers. */
function ownProperties({ expirySeconds, topicAlias, subscriptionIdentifiers }: PublishForm): Buffer {
  if (expirySeconds === null && topicAlias === 0 && subscriptionIdentifiers.length === 0) return nothing
  const bytes: number[] = []
  if (expirySeconds !== null)
    bytes.push(
      0x02,
      expirySeconds >>> 24,
      (expirySeconds >>> 16) & 0xff,
      (expirySeconds >>> 8) & 0xff,
      expirySeconds & 0xff,
    )
  if (topicAlias !== 0) bytes.push(0x23, topicAlias >> 8, topicAlias & 0xff)
  for (const identifier of subscriptionIdentifiers) bytes.push(0x0b, ...variableOctets(identifier))
  return Buffer.from(bytes)
}

function octetsOf(value: number): number {
  if (value < 128) return 1
  if (value < 16_384) return 2
  return value < 2_097_152 ? 3 : 4
}

function writeVariable(bytes: Buffer, at: number, value: number): number {
  let left = value
  while (left >= 128) {
    bytes[at] = (left & 0x7f) | 0x80
    at += 1
    left >>>= 7
  }
  bytes[at] = left
  return at + 1
}

function variableOctets(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...variableOctets(value >>> 7)]
}

export const PINGRESP = Buffer.from([0xd0, 0])

/** The first octet of each acknowledgement, with the flags that are reserved (§2.1.3). */
export const firstBytes = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 } as const

/** PUBACK, PUBREC, PUBREL or PUBCOMP; the reason is told to version 5 alone. */
export function encodeAcknowledgement(
  cmd: keyof typeof firstBytes,
  version: Version,
  messageId: number,
  reasonCode: number = 0,
  reasonString?: string,
): Buffer {
  const first = firstBytes[cmd]
  if (version < 5 || reasonCode === 0) return Buffer.from([first, 2, messageId >> 8, messageId & 0xff])
  if (reasonString === undefined) return Buffer.from([first, 3, messageId >> 8, messageId & 0xff, reasonCode])
  return mqttPacket.generate(
    { cmd, messageId, reasonCode, properties: { reasonString } } as mqttPacket.Packet,
    { protocolVersion: 5 },
  )
}

/** The same, without its Reason String where the packet would be larger than the client takes [MQTT-3.4.2-2]. */
export function acknowledgementFor(
  client: { version: Version; packetBytesMax: number },
  cmd: keyof typeof firstBytes,
  messageId: number,
  reasonCode: number,
  reasonString?: string,
): Buffer {
  const whole = encodeAcknowledgement(cmd, client.version, messageId, reasonCode, reasonString)
  return whole.length <= client.packetBytesMax
    ? whole
    : encodeAcknowledgement(cmd, client.version, messageId, reasonCode)
}

export function encodeSuback(
  version: Version,
  messageId: number,
  granted: readonly number[],
  reasonString?: string,
): Buffer {
  return mqttPacket.generate(
    {
      cmd: 'suback',
      messageId,
      granted: granted as number[],
      ...(version === 5 && reasonString !== undefined && { properties: { reasonString } }),
    },
    { protocolVersion: version },
  )
}

export function encodeUnsuback(version: Version, messageId: number, reasonCodes: readonly number[]): Buffer {
  const packet = { cmd: 'unsuback', messageId, granted: reasonCodes as number[] } as mqttPacket.Packet
  return mqttPacket.generate(packet, { protocolVersion: version })
}

/** CONNACK that lets in; `properties` are of version 5. */
export function encodeConnack(
  version: Version,
  sessionPresent: boolean,
  properties: mqttPacket.IConnackPacket['properties'] = {},
): Buffer {
  if (version < 5) return Buffer.from([0x20, 2, sessionPresent ? 1 : 0, 0])
  return mqttPacket.generate(
    { cmd: 'connack', reasonCode: 0, sessionPresent, properties },
    { protocolVersion: 5 },
  )
}

/** CONNACK that refuses, before version 5 (MQTT 3.1.1 §3.2.2.3). */
export function refusingConnack3(returnCode: number): Buffer {
  return Buffer.from([0x20, 2, 0, returnCode])
}

/** CONNACK that refuses, of version 5. */
export function refusingConnack5(
  reasonCode: number,
  reasonString?: string,
  serverReference?: string,
): Buffer {
  const properties = {
    ...(reasonString !== undefined && { reasonString }),
    ...(serverReference !== undefined && { serverReference }),
  }
  return mqttPacket.generate(
    { cmd: 'connack', reasonCode, sessionPresent: false, properties },
    { protocolVersion: 5 },
  )
}

/** DISCONNECT from the server, of version 5 alone (§3.14). */
export function encodeDisconnect(
  reasonCode: ReasonCode | number,
  reasonString?: string,
  serverReference?: string,
): Buffer {
  const properties = {
    ...(reasonString !== undefined && { reasonString }),
    ...(serverReference !== undefined && { serverReference }),
  }
  return mqttPacket.generate({ cmd: 'disconnect', reasonCode, properties }, { protocolVersion: 5 })
}

/** The Reason Code of a DISCONNECT that was encoded here; null of another packet. */
export function disconnectCodeOf(packet: Buffer): number | null {
  return packet[0] === 0xe0 ? packet[frameAt(packet, 0)!.body]! : null
}
