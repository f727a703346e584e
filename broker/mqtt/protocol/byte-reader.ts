// Reads the data types of MQTT (MQTT 5 §1.5) from the bytes of one packet, and says where they are not what they should be.
import { isUtf8 } from 'node:buffer'
import { codes, type ReasonCode } from './reason-codes.ts'

/** A packet that the standard forbids; its connection ends with this reason code. */
export class PacketFault extends Error {
  readonly code: ReasonCode

  constructor(message: string, code: ReasonCode = codes.malformedPacket) {
    super(message)
    this.name = 'PacketFault'
    this.code = code
  }
}

export type ByteReader = ReturnType<typeof readBytes>

/** Reads from `at` on, no further than `end`. Every verb throws a `PacketFault` where the bytes end before. */
export function readBytes(bytes: Buffer, at: number, end: number = bytes.length) {
  function take(length: number): number {
    if (at + length > end) throw new PacketFault('the packet ends within a field')
    const from = at
    at += length
    return from
  }

  function variable(): number {
    let value = 0
    for (let octets = 0; octets < 4; octets += 1) {
      const octet = bytes[take(1)]!
      value += (octet & 0x7f) * 128 ** octets
      if ((octet & 0x80) === 0) return value
    }
    throw new PacketFault('a length has more than four bytes') // [MQTT-1.5.5-1]
  }

  /** The bytes of a UTF-8 string, without its length. */
  function text(): Buffer {
    const length = bytes.readUInt16BE(take(2))
    const from = take(length)
    const found = bytes.subarray(from, from + length)
    assertText(found)
    return found
  }

  function binary(): Buffer {
    const length = bytes.readUInt16BE(take(2))
    const from = take(length)
    return bytes.subarray(from, from + length)
  }

  return {
    position: () => at,
    isAtEnd: () => at >= end,
    left: () => end - at,
    byte: () => bytes[take(1)]!,
    uint16: () => bytes.readUInt16BE(take(2)),
    uint32: () => bytes.readUInt32BE(take(4)),
    variable,
    text,
    binary,
    skip: (length: number) => void take(length),
  }
}

/** [MQTT-1.5.4-1] [MQTT-1.5.4-2], of 3.1.1 [MQTT-1.5.3-1] [MQTT-1.5.3-2] */
export function assertText(bytes: Buffer): void {
  if (bytes.includes(0)) throw new PacketFault('a string holds U+0000')
  if (!isUtf8(bytes)) throw new PacketFault('a string is not UTF-8')
}
