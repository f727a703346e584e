// What the standard forbids and mqtt-packet lets through, checked on the bytes of one whole packet [MQTT-4.8.0-1]. Judges form
// alone, no rights.
import { parseFilter } from '../../../policy/topic-filter.ts'
import { PacketFault, readBytes } from './byte-reader.ts'
import type { Version } from './packets.ts'
import { none, type Properties, readProperties } from './properties.ts'
import { codes } from './reason-codes.ts'

const protocolError = (message: string) => new PacketFault(message, codes.protocolError)

/** The level that goes with each name. */
const levels: Readonly<Record<string, readonly number[]>> = { MQTT: [4, 5], MQIsdp: [3] }
/** A version that is none, for a level that goes with another name. */
const NO_VERSION = 0

/** The version that CONNECT asks for, one of ours or not; `body` is where its variable header begins. */
export function versionOf(bytes: Buffer, body: number): number {
  const reader = readBytes(bytes, body)
  const name = reader.text().toString()
  if (!Object.hasOwn(levels, name)) throw new PacketFault('another protocol name') // [MQTT-3.1.2-1]
  const level = reader.byte()
  if (levels[name]!.includes(level)) return level
  return level >= 3 && level <= 5 ? NO_VERSION : level
}

/** Of a CONNECT of a version of ours. */
export function checkConnect(bytes: Buffer, body: number, version: Version) {
  const reader = readBytes(bytes, body)
  reader.text()
  reader.byte()
  const flags = reader.byte()
  const hasWill = (flags & 0x04) !== 0
  const hasUsername = (flags & 0x80) !== 0
  const hasPassword = (flags & 0x40) !== 0
  if ((flags & 0x01) !== 0) throw new PacketFault('the reserved flag is set') // [MQTT-3.1.2-3]
  if (!hasWill && (flags & 0x38) !== 0) throw new PacketFault('flags of a will without a will') // [MQTT-3.1.2-11]
  if (((flags >> 3) & 3) === 3) throw new PacketFault('the QoS of the will is 3') // [MQTT-3.1.2-14]
  if (version < 5 && hasPassword && !hasUsername) throw new PacketFault('a password without username') // [MQTT-3.1.2-22]
  reader.uint16()
  const properties = version === 5 ? readProperties(bytes, reader, 'connect') : none
  if (properties.has(0x16) && !properties.has(0x15))
    throw protocolError('Authentication Data without Authentication Method')
  reader.text()
  let will = none
  if (hasWill) {
    if (version === 5) will = readProperties(bytes, reader, 'will')
    const topic = reader.text().toString()
    if (topic === '' || /[+#]/.test(topic)) throw new PacketFault('the topic of the will is none') // [MQTT-4.7.1-1]
    reader.binary()
  }
  if (hasUsername) reader.text()
  if (hasPassword) reader.binary()
  if (!reader.isAtEnd()) throw new PacketFault('CONNECT holds more than its flags say')
  return { properties, will }
}

/** Acknowledgements: PUBACK, PUBREC, PUBREL, PUBCOMP. */
export function checkAcknowledgement(bytes: Buffer, body: number, version: Version): void {
  const reader = readBytes(bytes, body)
  if (reader.uint16() === 0) throw protocolError('the packet identifier is 0') // [MQTT-2.3.1-1]
  if (version < 5 || reader.isAtEnd()) {
    assertEnd(reader.isAtEnd())
    return
  }
  reader.byte()
  if (!reader.isAtEnd()) readProperties(bytes, reader, 'puback')
  assertEnd(reader.isAtEnd())
}

export function checkSubscribe(bytes: Buffer, body: number, version: Version): Properties {
  const reader = readBytes(bytes, body)
  if (reader.uint16() === 0) throw protocolError('the packet identifier is 0') // [MQTT-2.3.1-1]
  const properties = version === 5 ? readProperties(bytes, reader, 'subscribe') : none
  if (reader.isAtEnd()) throw protocolError('there is no topic filter') // [MQTT-3.8.3-3]
  while (!reader.isAtEnd()) {
    const filter = reader.text().toString()
    assertFilter(filter)
    const options = reader.byte()
    if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) throw new PacketFault('reserved bits are set') // [MQTT-3.8.3-5]
    if ((options & 0x03) === 3) throw protocolError('the requested QoS is 3')
    if (((options >> 4) & 3) === 3) throw protocolError('Retain Handling is 3')
    if ((options & 0x04) !== 0 && version === 5 && filter.startsWith('$share/'))
      throw protocolError('No Local on a shared subscription') // [MQTT-3.8.3-4]
  }
  return properties
}

export function checkUnsubscribe(bytes: Buffer, body: number, version: Version): void {
  const reader = readBytes(bytes, body)
  if (reader.uint16() === 0) throw protocolError('the packet identifier is 0') // [MQTT-2.3.1-1]
  if (version === 5) readProperties(bytes, reader, 'unsubscribe')
  if (reader.isAtEnd()) throw protocolError('there is no topic filter') // [MQTT-3.10.3-2]
  while (!reader.isAtEnd()) assertFilter(reader.text().toString())
}

/** MQTT 5 §3.14.2.1, the rows that name the client as sender. */
const disconnectCodesOfClients: ReadonlySet<number> = new Set([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
])

export function checkDisconnect(bytes: Buffer, body: number, version: Version): Properties {
  const reader = readBytes(bytes, body)
  if (version < 5 || reader.isAtEnd()) {
    assertEnd(reader.isAtEnd())
    return none
  }
  if (!disconnectCodesOfClients.has(reader.byte())) throw protocolError('a client sends no such Reason Code') // [MQTT-3.14.2-1]
  const properties = reader.isAtEnd() ? none : readProperties(bytes, reader, 'disconnect')
  assertEnd(reader.isAtEnd())
  return properties
}

export function checkEmpty(bytes: Buffer, body: number): void {
  assertEnd(body === bytes.length)
}

function assertEnd(isAtEnd: boolean): void {
  if (!isAtEnd) throw new PacketFault('the packet is longer than what it holds')
}

/** [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1] */
function assertFilter(filter: string): void {
  if (parseFilter(filter) === null) throw new PacketFault('a topic filter is none')
}
