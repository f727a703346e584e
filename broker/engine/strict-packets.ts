// What MQTT 3.1.1 forbids and mqtt-packet lets through: such a packet is given to nobody, its connection ends [MQTT-4.8.0-1]. Knows
// the parser's inside; judges form alone, no rights.
import { isUtf8 } from 'node:buffer'
import { parseFilter } from '../../policy/topic-filter.ts'
import type { Inside, Packet, Parser } from './aedes-client.ts'

/** The level that goes with each name: MQTT 3.1.1, MQTT 3.1. */
const levels: Readonly<Record<string, number>> = { MQTT: 4, MQIsdp: 3 }
/** A version that is none, for a level that goes with another name. */
const NO_VERSION = 0

export function holdToStandard({ _parser: parser }: Inside): void {
  const { _parseString, _parseConnect, _newPacket } = Object.getPrototypeOf(parser) as Parser

  parser._parseString = function () {
    const begins = this._pos + 2
    const text = _parseString.call(this)
    if (text === null || text.includes('\0')) return null // [MQTT-1.5.3-2]
    // What stands for bytes that are no UTF-8 may have been sent as it is [MQTT-1.5.3-1].
    return text.includes('\ufffd') && !isUtf8(this._list.slice(begins, this._pos)) ? null : text
  }

  /** Of another version nothing is read but its number, to be answered [MQTT-3.1.2-2]. */
  parser._parseConnect = function () {
    const name = this._parseString()
    const level = this._pos < this.packet.length ? this._list.readUInt8(this._pos) : null
    this._pos = 0
    if (name === null || level === null || !Object.hasOwn(levels, name) || level === levels[name])
      return _parseConnect.call(this)
    const protocolVersion = Object.values(levels).includes(level) ? NO_VERSION : level
    this._pos = this.packet.length
    return Object.assign(this.packet, { protocolVersion, clientId: '', clean: true, keepalive: 0 })
  }

  parser._newPacket = function () {
    const fault = faultOf(this.packet, this._pos)
    if (fault === null) return _newPacket.call(this)
    this._emitError(new Error(fault))
    return false
  }
}

/** `end` is how far it was read, which is further than it goes where it is too short. */
function faultOf(packet: Packet, end: number): string | null {
  const { cmd, length, messageId } = packet
  if (end > length) return `${cmd} is too short`
  if (messageId !== undefined && messageId <= 0) return `${cmd} has no packet identifier` // [MQTT-2.3.1-1]
  switch (cmd) {
    case 'publish':
      return packet.dup && packet.qos === 0 ? 'DUP is set on QoS 0' : null // [MQTT-3.3.1-2]
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return length === 2 ? null : `${cmd} has another length than 2`
    case 'pingreq':
    case 'disconnect':
      return length === 0 ? null : `${cmd} has a payload`
    case 'subscribe':
      return faultOfFilters(packet.subscriptions?.map(({ topic }) => topic))
    case 'unsubscribe':
      return faultOfFilters(packet.unsubscriptions)
    case 'connect':
      return faultOfConnect(packet, end)
    default:
      return null
  }
}

function faultOfFilters(filters: string[] = []): string | null {
  if (filters.length === 0) return 'there is no topic filter' // [MQTT-3.8.3-3] [MQTT-3.10.3-2]
  // [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1]
  return filters.every(filter => parseFilter(filter) !== null) ? null : 'a topic filter is none'
}

function faultOfConnect({ will, username, password, length }: Packet, end: number): string | null {
  if (end < length) return 'CONNECT holds more than its flags say'
  if (password !== undefined && username === undefined) return 'there is a password without username' // [MQTT-3.1.2-22]
  if (will === undefined) return null
  if (will.qos > 2) return 'the QoS of the will is none' // [MQTT-3.1.2-14]
  return will.topic === '' || /[+#]/.test(will.topic) ? 'the topic of the will is none' : null // [MQTT-4.7.1-1]
}
