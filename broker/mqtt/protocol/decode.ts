// Reads what a client sends: whole packets in, checked ones out. mqtt-packet reads all but CONNECT, PUBLISH and plain ones;
// what it takes and the standard forbids is found on the bytes. One decoder serves all connections, for it is given whole packets.
import type { ISubscribePacket, Packet, Parser } from 'mqtt-packet'
import mqttPacket from 'mqtt-packet'
import { PacketFault } from './byte-reader.ts'
import {
  checkAcknowledgement,
  checkDisconnect,
  checkEmpty,
  checkSubscribe,
  checkUnsubscribe,
} from './check.ts'
import { decodeConnect } from './decode-connect.ts'
import { decodePublish } from './decode-publish.ts'
import { firstBytes } from './encode.ts'
import type { Acknowledgement, Connect, Incoming, Subscribe, Version } from './packets.ts'
import { none } from './properties.ts'
import { codes } from './reason-codes.ts'

const PUBLISH = 3
const SUBSCRIPTION_IDENTIFIER = 0x0b
/** First bytes. */
const [PINGREQ, DISCONNECT] = [0xc0, 0xe0]
/** Of one packet: they are handled in one go, at some microseconds each. */
const FILTERS_MAX = 4_000

/** MQTT Control Packet types that a client sends (§2.1.2), but for CONNECT and PUBLISH. */
const kinds: Readonly<Record<number, Exclude<Incoming['cmd'], 'connect' | 'publish'>>> = {
  4: 'puback',
  5: 'pubrec',
  6: 'pubrel',
  7: 'pubcomp',
  8: 'subscribe',
  10: 'unsubscribe',
  12: 'pingreq',
  14: 'disconnect',
  15: 'auth',
}

export type Decoder = {
  /**
   * Reads CONNECT, the first packet.
   * @throws {PacketFault}
   */
  connect(bytes: Buffer, body: number): Connect
  /**
   * Reads any later packet; `body` is where its fixed header ends.
   * @throws {PacketFault}
   */
  packet(bytes: Buffer, body: number, version: Version): Exclude<Incoming, Connect>
}

/** A packet with more topic filters than a session may have is refused, but never one with `FILTERS_MAX`. */
export function createDecoder({ subscriptionsMax }: { subscriptionsMax: number }): Decoder {
  const filtersMax = Math.max(FILTERS_MAX, subscriptionsMax)
  const read = {
    3: createReader({ protocolVersion: 3 }),
    4: createReader({ protocolVersion: 4 }),
    5: createReader({ protocolVersion: 5 }),
  }

  function subscribe(bytes: Buffer, body: number, version: Version): Subscribe {
    const properties = checkSubscribe(bytes, body, version, filtersMax)
    const { messageId = 0, subscriptions } = read[version](bytes) as ISubscribePacket
    return {
      cmd: 'subscribe',
      messageId,
      identifier: properties.numbers.get(SUBSCRIPTION_IDENTIFIER) ?? null,
      subscriptions: subscriptions.map(({ topic, qos, nl, rap, rh }) => ({
        filter: topic,
        qos,
        noLocal: nl ?? false,
        retainAsPublished: rap ?? false,
        retainHandling: (rh ?? 0) as 0 | 1 | 2,
      })),
    }
  }

  function acknowledgement(
    cmd: Acknowledgement['cmd'],
    bytes: Buffer,
    body: number,
    version: Version,
  ): Acknowledgement {
    // As nearly all of them are: a packet identifier and nothing else (§3.4.2.1).
    const messageId = bytes.length === body + 2 ? bytes.readUInt16BE(body) : 0
    if (messageId > 0 && bytes[0] === firstBytes[cmd]) return { cmd, messageId, reasonCode: 0 }
    checkAcknowledgement(bytes, body, version)
    const packet = read[version](bytes) as Acknowledgement
    return { cmd, messageId: packet.messageId, reasonCode: packet.reasonCode ?? 0 }
  }

  return {
    connect: decodeConnect,

    packet(bytes, body, version) {
      const type = bytes[0]! >> 4
      if (type === PUBLISH) return decodePublish(bytes, body, version)
      const cmd = kinds[type]
      switch (cmd) {
        case 'puback':
        case 'pubrec':
        case 'pubrel':
        case 'pubcomp':
          return acknowledgement(cmd, bytes, body, version)
        case 'subscribe':
          return subscribe(bytes, body, version)
        case 'unsubscribe': {
          checkUnsubscribe(bytes, body, version, filtersMax)
          const packet = read[version](bytes) as Extract<Packet, { cmd: 'unsubscribe' }>
          return { cmd, messageId: packet.messageId ?? 0, filters: packet.unsubscriptions }
        }
        case 'pingreq':
          if (isBare(bytes, PINGREQ)) return { cmd }
          checkEmpty(bytes, body)
          read[version](bytes)
          return { cmd }
        case 'disconnect': {
          if (isBare(bytes, DISCONNECT)) return { cmd, reasonCode: 0, properties: none }
          const properties = checkDisconnect(bytes, body, version)
          const { reasonCode = 0 } = read[version](bytes) as { reasonCode?: number }
          return { cmd, reasonCode, properties }
        }
        case 'auth':
          // Whatever it says: no method was agreed on. mqtt-packet refuses one of no length.
          if (version !== 5 || (bytes[0]! & 0x0f) !== 0) throw new PacketFault('AUTH is of MQTT 5')
          return { cmd }
        default:
          throw new PacketFault('no packet that a client sends', codes.protocolError)
      }
    },
  }
}

/** A fixed header of two bytes and nothing else, as nearly all of them are. */
function isBare(bytes: Buffer, first: number): boolean {
  return bytes.length === 2 && bytes[0] === first && bytes[1] === 0
}

/** Reads one whole packet at once. */
function createReader(options: { protocolVersion?: Version }): (bytes: Buffer) => Packet {
  let found: Packet | null = null
  let failure: Error | null = null
  let parser = open()

  function open(): Parser {
    const opened = mqttPacket.parser(options)
    opened.on('packet', packet => {
      found = packet
    })
    opened.on('error', error => {
      failure = error as Error
    })
    return opened
  }

  return bytes => {
    found = null
    failure = null
    try {
      parser.parse(bytes)
    } catch (error) {
      failure = error as Error
    }
    if (found !== null && failure === null) return found
    parser = open() // whatever it is in the middle of
    throw new PacketFault(failure?.message ?? 'the packet is cut off')
  }
}
