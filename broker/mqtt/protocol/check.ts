// What the standard forbids and mqtt-packet lets through, checked on the bytes of one whole packet [MQTT-4.8.0-1]. Judges form
// alone, no rights.
import { parseFilter } from '../../../policy/topic-filter.ts'
import { PacketFault, readBytes } from './byte-reader.ts'
import type { Version } from './packets.ts'
import { none, type Properties, readProperties } from './properties.ts'
import { codes } from './reason-codes.ts'

const protocolError = (message: string) => new PacketFault(message, codes.protocolError)

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

/** Thrown as soon as it is seen: each filter that is read and answered takes microseconds, and one packet has room for 80,000. */
function assertFew(filters: number, filtersMax: number): void {
  if (filters > filtersMax)
    throw new PacketFault(
      `there are more than ${filtersMax} topic filters in one packet`,
      codes.quotaExceeded,
    )
}

export function checkSubscribe(
  bytes: Buffer,
  body: number,
  version: Version,
  filtersMax: number,
): Properties {
  const reader = readBytes(bytes, body)
  if (reader.uint16() === 0) throw protocolError('the packet identifier is 0') // [MQTT-2.3.1-1]
  const properties = version === 5 ? readProperties(bytes, reader, 'subscribe') : none
  if (reader.isAtEnd()) throw protocolError('there is no topic filter') // [MQTT-3.8.3-3]
  for (let filters = 1; !reader.isAtEnd(); filters += 1) {
    assertFew(filters, filtersMax)
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

export function checkUnsubscribe(bytes: Buffer, body: number, version: Version, filtersMax: number): void {
  const reader = readBytes(bytes, body)
  if (reader.uint16() === 0) throw protocolError('the packet identifier is 0') // [MQTT-2.3.1-1]
  if (version === 5) readProperties(bytes, reader, 'unsubscribe')
  if (reader.isAtEnd()) throw protocolError('there is no topic filter') // [MQTT-3.10.3-2]
  for (let filters = 1; !reader.isAtEnd(); filters += 1) {
    assertFew(filters, filtersMax)
    assertFilter(reader.text().toString())
  }
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
