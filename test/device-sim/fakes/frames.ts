// MQTT packets cut out of a stream, and the parts of a version 5 PUBLISH as bytes: mqtt-packet does not keep the order of
// user properties, and a broker must.
import type { TLSSocket } from 'node:tls'
import { type Packet, parser } from 'mqtt-packet'

/** Calls `take` with each packet and its bytes. */
export function eachFrame(socket: TLSSocket, take: (packet: Packet, frame: Buffer) => void): void {
  let left = Buffer.alloc(0)
  let version = 4
  socket.on('data', (bytes: Buffer) => {
    left = Buffer.concat([left, bytes])
    for (let frame = firstFrame(left); frame; frame = firstFrame(left)) {
      left = left.subarray(frame.length)
      const whole = frame
      // A parser for each: one that has just read CONNECT has set its own version by then.
      const reading = parser({ protocolVersion: version })
      reading.on('packet', (packet: Packet) => {
        if (packet.cmd === 'connect') version = packet.protocolVersion ?? 4
        take(packet, whole)
      })
      reading.parse(whole)
    }
  })
}

function firstFrame(bytes: Buffer): Buffer | null {
  const length = varint(bytes, 1)
  if (!length || bytes.length < length.end + length.value) return null
  return bytes.subarray(0, length.end + length.value)
}

function varint(bytes: Buffer, at: number): { value: number; end: number } | null {
  let value = 0
  for (let index = 0; index < 4; index++) {
    const byte = bytes[at + index]
    if (byte === undefined) return null
    value += (byte & 0x7f) * 128 ** index
    if (byte < 128) return { value, end: at + index + 1 }
  }
  throw new Error('no length')
}

function lengthBytes(length: number): Buffer {
  const bytes: number[] = []
  let rest = length
  do {
    bytes.push(rest >= 128 ? (rest & 0x7f) | 0x80 : rest)
    rest >>>= 7
  } while (rest > 0)
  return Buffer.from(bytes)
}

export type FrameSections = { expirySeconds: number | null; alias: number; utf8: boolean; others: Buffer }

/** The properties of a PUBLISH: those of fixed size that our devices send first, then the others as they are. */
export function sectionsOf(frame: Buffer, qos: number): FrameSections {
  const head = varint(frame, 1)
  if (!head) throw new Error('no frame')
  const topicEnd = head.end + 2 + frame.readUInt16BE(head.end)
  const length = varint(frame, topicEnd + (qos > 0 ? 2 : 0))
  if (!length) throw new Error('no properties')
  const parts: FrameSections = { expirySeconds: null, alias: 0, utf8: false, others: Buffer.alloc(0) }
  let at = length.end
  const end = length.end + length.value
  for (; at < end; ) {
    if (frame[at] === 1) {
      parts.utf8 = frame[at + 1] === 1
      at += 2
    } else if (frame[at] === 2) {
      parts.expirySeconds = frame.readUInt32BE(at + 1)
      at += 5
    } else if (frame[at] === 0x23) {
      parts.alias = frame.readUInt16BE(at + 1)
      at += 3
    } else break
  }
  parts.others = Buffer.from(frame.subarray(at, end))
  return parts
}

export type Delivery = {
  topic: string
  payload: Buffer
  qos: number
  messageId: number
  parts: FrameSections | null
}

/** A PUBLISH; in version 5 where there are parts. */
export function publishFrame({ topic, payload, qos, messageId, parts }: Delivery): Buffer {
  const text = Buffer.from(topic)
  const body: Buffer[] = [two(text.length), text]
  if (qos > 0) body.push(two(messageId))
  if (parts) {
    const own: Buffer[] = []
    if (parts.utf8) own.push(Buffer.from([1, 1]))
    // Behind the others, where our devices send it before them: any order of different properties is as good.
    own.push(parts.others)
    if (parts.expirySeconds !== null) {
      own.push(Buffer.from([2]), two(parts.expirySeconds >>> 16), two(parts.expirySeconds & 0xffff))
    }
    if (parts.alias > 0) own.push(Buffer.from([0x23]), two(parts.alias))
    const all = Buffer.concat(own)
    body.push(lengthBytes(all.length), all)
  }
  body.push(payload)
  const rest = Buffer.concat(body)
  return Buffer.concat([Buffer.from([0x30 | (qos << 1)]), lengthBytes(rest.length), rest])
}

function two(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}
