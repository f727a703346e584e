// Reads CONNECT (MQTT 5 §3.1, MQTT 3.1.1 §3.1). mqtt-packet would keep the last one that it read, with its password and its will; one
// made anew for each took a tenth of the engine's share of an admission.
import type { QoS } from '../message.ts'
import { type ByteReader, PacketFault, readBytes } from './byte-reader.ts'
import type { Connect, RequestedWill, Version } from './packets.ts'
import { none, readProperties } from './properties.ts'
import { codes } from './reason-codes.ts'

const AUTHENTICATION_METHOD = 0x15
const AUTHENTICATION_DATA = 0x16

/** The protocol levels that go with each name. */
const levels: Readonly<Record<string, readonly Version[]>> = { MQTT: [4, 5], MQIsdp: [3] }
/** A version that is none, for a level that goes with the other name. */
const NO_VERSION = 0

/**
 * One whole packet; `body` is where its fixed header ends. Of a version that is none of ours only the version is read, to be answered
 * [MQTT-3.1.2-2]. Payloads are copies: none holds on to what arrived beside it.
 * @throws {PacketFault}
 */
export function decodeConnect(bytes: Buffer, body: number): Connect {
  const reader = readBytes(bytes, body)
  const version = versionIn(reader)
  if (!isOurs(version)) return { ...nothingRead, version }
  const flags = reader.byte()
  const hasWill = (flags & 0x04) !== 0
  const hasUsername = (flags & 0x80) !== 0
  const hasPassword = (flags & 0x40) !== 0
  if ((flags & 0x01) !== 0) throw new PacketFault('the reserved flag is set') // [MQTT-3.1.2-3]
  if (!hasWill && (flags & 0x38) !== 0) throw new PacketFault('flags of a will without a will') // [MQTT-3.1.2-11]
  if (((flags >> 3) & 3) === 3) throw new PacketFault('the QoS of the will is 3') // [MQTT-3.1.2-14]
  if (version < 5 && hasPassword && !hasUsername) throw new PacketFault('a password without username') // [MQTT-3.1.2-22]
  const keepAliveSeconds = reader.uint16()
  const properties = version === 5 ? readProperties(bytes, reader, 'connect') : none
  if (properties.has(AUTHENTICATION_DATA) && !properties.has(AUTHENTICATION_METHOD))
    throw new PacketFault('Authentication Data without Authentication Method', codes.protocolError)
  const clientId = reader.text().toString()
  const will = hasWill ? willIn(bytes, reader, flags, version) : null
  const username = hasUsername ? reader.text().toString() : undefined
  const password = hasPassword ? reader.binary().length : 0
  if (!reader.isAtEnd()) throw new PacketFault('CONNECT holds more than its flags say')
  return {
    cmd: 'connect',
    version,
    clientId,
    clean: (flags & 0x02) !== 0,
    keepAliveSeconds,
    username,
    hasPassword: password > 0,
    will,
    properties,
  }
}

const nothingRead: Omit<Connect, 'version'> = {
  cmd: 'connect',
  clientId: '',
  clean: true,
  keepAliveSeconds: 0,
  username: undefined,
  hasPassword: false,
  will: null,
  properties: none,
}

/** What CONNECT asks for, one of ours or not. */
function versionIn(reader: ByteReader): number {
  const name = reader.text().toString()
  if (!Object.hasOwn(levels, name)) throw new PacketFault('another protocol name') // [MQTT-3.1.2-1]
  const level = reader.byte()
  if (!isOurs(level)) return level
  return levels[name]!.includes(level) ? level : NO_VERSION
}

function isOurs(version: number): version is Version {
  return version === 3 || version === 4 || version === 5
}

function willIn(bytes: Buffer, reader: ByteReader, flags: number, version: Version): RequestedWill {
  const properties = version === 5 ? readProperties(bytes, reader, 'will') : none
  const topic = reader.text().toString()
  if (topic === '' || /[+#]/.test(topic)) throw new PacketFault('the topic of the will is none') // [MQTT-4.7.1-1]
  const payload = Buffer.from(reader.binary())
  return { topic, payload, qos: ((flags >> 3) & 3) as QoS, retain: (flags & 0x20) !== 0, properties }
}
