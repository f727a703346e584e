// The properties of MQTT 5 (§2.2.2), checked on the bytes: mqtt-packet takes repeated ones, zeros and those of other packets, and
// forgets the order of user properties. What travels with a message is kept as the bytes that came.
import { type ByteReader, PacketFault, readBytes } from './byte-reader.ts'
import { codes } from './reason-codes.ts'

type Kind = 'byte' | 'flag' | 'uint16' | 'uint32' | 'variable' | 'text' | 'binary' | 'pair'
/** Which packets hold it, by the names that mqtt-packet gives them; `will` for those of a will. */
type Place = 'connect' | 'will' | 'publish' | 'puback' | 'subscribe' | 'unsubscribe' | 'disconnect' | 'auth'
type Property = { name: string; kind: Kind; in: readonly Place[]; zero?: 'forbidden' }

const everywhere: readonly Place[] = [
  'connect',
  'will',
  'publish',
  'puback',
  'subscribe',
  'unsubscribe',
  'disconnect',
  'auth',
]

const properties: Readonly<Record<number, Property>> = {
  1: { name: 'Payload Format Indicator', kind: 'flag', in: ['publish', 'will'] },
  2: { name: 'Message Expiry Interval', kind: 'uint32', in: ['publish', 'will'] },
  3: { name: 'Content Type', kind: 'text', in: ['publish', 'will'] },
  8: { name: 'Response Topic', kind: 'text', in: ['publish', 'will'] },
  9: { name: 'Correlation Data', kind: 'binary', in: ['publish', 'will'] },
  11: { name: 'Subscription Identifier', kind: 'variable', in: ['subscribe'], zero: 'forbidden' },
  17: { name: 'Session Expiry Interval', kind: 'uint32', in: ['connect', 'disconnect'] },
  21: { name: 'Authentication Method', kind: 'text', in: ['connect', 'auth'] },
  22: { name: 'Authentication Data', kind: 'binary', in: ['connect', 'auth'] },
  23: { name: 'Request Problem Information', kind: 'flag', in: ['connect'] },
  24: { name: 'Will Delay Interval', kind: 'uint32', in: ['will'] },
  25: { name: 'Request Response Information', kind: 'flag', in: ['connect'] },
  31: { name: 'Reason String', kind: 'text', in: ['puback', 'disconnect', 'auth'] },
  33: { name: 'Receive Maximum', kind: 'uint16', in: ['connect'], zero: 'forbidden' },
  34: { name: 'Topic Alias Maximum', kind: 'uint16', in: ['connect'] },
  35: { name: 'Topic Alias', kind: 'uint16', in: ['publish'] },
  38: { name: 'User Property', kind: 'pair', in: everywhere },
  39: { name: 'Maximum Packet Size', kind: 'uint32', in: ['connect'], zero: 'forbidden' },
}

/** The properties of a PUBLISH that concern only the connection it came by. */
const OF_THE_HOP = new Set([0x02, 0x18, 0x23])
const USER_PROPERTY = 0x26
const SUBSCRIPTION_IDENTIFIER = 0x0b
const RESPONSE_TOPIC = 0x08

/** What a packet's properties say, numbers by their identifier. */
export type Properties = {
  numbers: ReadonlyMap<number, number>
  /** The bytes of those that travel with a message, in their order; null for none. */
  travelling: Buffer | null
  has(identifier: number): boolean
}

export const none: Properties = { numbers: new Map(), travelling: null, has: () => false }

/**
 * Reads the properties where the reader stands, with their length.
 * @throws {PacketFault} 0x81 for what is malformed or belongs to other packets, 0x82 for what stands twice or is out of range
 */
export function readProperties(bytes: Buffer, reader: ByteReader, place: Place): Properties {
  const length = reader.variable()
  if (length === 0) return none
  const begin = reader.position()
  reader.skip(length)
  const inside = readBytes(bytes, begin, begin + length)
  const numbers = new Map<number, number>()
  const pieces: Buffer[] = []
  while (!inside.isAtEnd()) {
    const from = inside.position()
    const identifier = inside.variable()
    const property = properties[identifier]
    if (identifier === SUBSCRIPTION_IDENTIFIER && place === 'publish')
      throw new PacketFault('a client sends no Subscription Identifier with PUBLISH', codes.protocolError) // [MQTT-3.3.4-6]
    if (property === undefined || !property.in.includes(place))
      throw new PacketFault(`property ${identifier} does not belong to ${place.toUpperCase()}`) // [MQTT-2.2.2-2]
    if (numbers.has(identifier) && identifier !== USER_PROPERTY)
      throw new PacketFault(`${property.name} stands twice`, codes.protocolError)
    const value = readValue(inside, property, identifier)
    if (value === 0 && property.zero === 'forbidden')
      throw new PacketFault(`${property.name} is 0`, codes.protocolError)
    numbers.set(identifier, value)
    if (!OF_THE_HOP.has(identifier)) pieces.push(bytes.subarray(from, inside.position()))
  }
  const travels = place === 'publish' || place === 'will'
  return {
    numbers,
    travelling: travels && pieces.length > 0 ? Buffer.concat(pieces) : null,
    has: identifier => numbers.has(identifier),
  }
}

/** Its value where it is a number; that it is there otherwise. */
function readValue(reader: ByteReader, { name, kind }: Property, identifier: number): number {
  switch (kind) {
    case 'byte':
      return reader.byte()
    case 'flag': {
      const value = reader.byte()
      if (value > 1) throw new PacketFault(`${name} is neither 0 nor 1`, codes.protocolError)
      return value
    }
    case 'uint16':
      return reader.uint16()
    case 'uint32':
      return reader.uint32()
    case 'variable':
      return reader.variable()
    case 'text': {
      const text = reader.text()
      if (identifier === RESPONSE_TOPIC && /[+#]/.test(text.toString()))
        throw new PacketFault(`${name} holds a wildcard`) // [MQTT-3.3.2-14]
      return 1
    }
    case 'binary':
      reader.binary()
      return 1
    case 'pair':
      reader.text()
      reader.text()
      return 1
  }
}
