// Reads only the fixed headers of a stream of MQTT packets (MQTT 3.1.1 §2.2): is a declared size within bounds, is the first
// packet a CONNECT. Pure: bytes in, verdict out, no byte is kept.
import type { Reason } from '../../../db/reason.ts'
import { reasonString, v5Codes } from '../../../db/reason-v5.ts'
import { refusingConnack3, refusingConnack5 } from './encode.ts'

type FrameReader = {
  /** Looks at the next bytes of the stream. Gives the reason to refuse, or null. */
  read(bytes: Uint8Array): Reason | null
  /** How many whole packets it has seen. */
  packets(): number
}

const REMAINING_LENGTH_OCTETS_MAX = 4

/** Follows a stream whose next byte begins a packet. A packet that declares more than `packetBytesMax` is refused when its header is read. */
export function createFrameReader(packetBytesMax: number): FrameReader {
  let bodyLeft = 0
  let lengthOctets = -1
  let length = 0
  let whole = 0
  return {
    packets: () => whole,
    read(bytes) {
      let offset = 0
      while (offset < bytes.length) {
        if (bodyLeft > 0) {
          const step = Math.min(bodyLeft, bytes.length - offset)
          bodyLeft -= step
          offset += step
          if (bodyLeft === 0) whole += 1
          continue
        }
        if (lengthOctets === -1) {
          lengthOctets = 0
          length = 0
          offset += 1
          continue
        }
        const octet = bytes[offset]!
        offset += 1
        length += (octet & 0x7f) * 128 ** lengthOctets
        lengthOctets += 1
        if ((octet & 0x80) !== 0) {
          if (lengthOctets === REMAINING_LENGTH_OCTETS_MAX) return 'packet_malformed' // [MQTT-2.2.3]
          continue
        }
        if (length > packetBytesMax) return 'packet_too_large'
        bodyLeft = length
        lengthOctets = -1
        if (length === 0) whole += 1
      }
      return null
    },
  }
}

/** What the first bytes of a connection say: more are needed, a CONNECT of bearable size, or a reason to refuse. */
export type FirstPacket =
  | { verdict: 'incomplete' }
  | { verdict: 'connect'; protocolLevel: number }
  /** An HTTP request, as a WebSocket begins with. */
  | { verdict: 'http' }
  | { verdict: 'refused'; reason: Reason }

const CONNECT = 0x10
/** Behind the name MQTT and its length. */
const LEVEL_AT_LEAST_AT = 6
const GET = Buffer.from('GET ')

/** Checks the first bytes of a connection, of which it needs at most 13 [MQTT-3.1.0-1]. */
export function checkFirstPacket(bytes: Uint8Array, connectBytesMax: number): FirstPacket {
  if (bytes.length === 0) return { verdict: 'incomplete' }
  if (bytes[0] === GET[0]) {
    if (GET.subarray(0, bytes.length).compare(bytes, 0, Math.min(bytes.length, GET.length)) !== 0)
      return { verdict: 'refused', reason: 'connect_expected' }
    return { verdict: bytes.length < GET.length ? 'incomplete' : 'http' }
  }
  if (bytes[0] !== CONNECT) return { verdict: 'refused', reason: 'connect_expected' }
  let length = 0
  let offset = 1
  for (;;) {
    const octet = bytes[offset]
    if (octet === undefined) return { verdict: 'incomplete' }
    length += (octet & 0x7f) * 128 ** (offset - 1)
    offset += 1
    if ((octet & 0x80) === 0) break
    if (offset > REMAINING_LENGTH_OCTETS_MAX) return { verdict: 'refused', reason: 'packet_malformed' }
  }
  if (length > connectBytesMax) return { verdict: 'refused', reason: 'packet_too_large' }
  // A CONNECT that is over before its protocol level has come whole: nothing more is waited for.
  if (length < LEVEL_AT_LEAST_AT + 1) return { verdict: 'refused', reason: 'packet_malformed' }
  const name = bytes.subarray(offset, offset + 8)
  if (name.length >= 2 && name[0] !== 0) return { verdict: 'refused', reason: 'packet_malformed' }
  const nameLength = name[1]
  if (nameLength === undefined) return { verdict: 'incomplete' }
  if (nameLength !== 4 && nameLength !== 6) return { verdict: 'refused', reason: 'packet_malformed' } // MQTT, MQIsdp
  if (length < nameLength + 3) return { verdict: 'refused', reason: 'packet_malformed' }
  const level = bytes[offset + 2 + nameLength]
  if (level === undefined) return { verdict: 'incomplete' }
  return { verdict: 'connect', protocolLevel: level }
}

/** CONNACK that refuses a device on the roll: return code 5 or, in MQTT 5, the Reason Code and Reason String of the reason. */
export function refusingConnack(protocolLevel: number, reason: Reason): Buffer {
  const code = v5Codes[reason].connack
  return protocolLevel === 5 && code !== null
    ? refusingConnack5(code, reasonString(reason))
    : refusingConnack3(5)
}
