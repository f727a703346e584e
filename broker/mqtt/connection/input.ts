// What a connection sends: bytes in, checked packets out, one after the other. Reads no further while the connection is held back.

import { PacketFault } from '../protocol/byte-reader.ts'
import type { Decoder } from '../protocol/decode.ts'
import { addPiece, frameAt, joined, leftOf } from '../protocol/frames.ts'
import type { Connect, Incoming } from '../protocol/packets.ts'
import type { Client } from '../state.ts'
import type { Traffic } from '../traffic.ts'
import { messagesOf, type Throttle } from './throttle.ts'

export type Input = ReturnType<typeof createInput>

export function createInput(parts: {
  decoder: Decoder
  traffic: Traffic
  throttle(): Throttle
  onConnect(client: Client, packet: Connect): void
  onPacket(client: Client, packet: Exclude<Incoming, Connect>): void
  /** What it sent is forbidden, or something failed on the way. */
  onFault(client: Client, error: Error): void
}) {
  const { decoder, traffic } = parts

  function receive(client: Client, chunk: Buffer): void {
    traffic.bytesReceived += chunk.length
    client.session.bytesIn += chunk.length
    if (client.phase === 'closed') return
    client.heardAt = performance.now()
    if (client.holds > 0) {
      // It was read before it could be held back.
      const { unread } = client
      if (unread === null) client.unread = { pieces: [chunk], bytes: chunk.length, wanted: 0 }
      else {
        addPiece(unread, chunk)
        unread.wanted = 0
      }
      return
    }
    const bytes = joined(client.unread, chunk)
    if (bytes !== null) work(client, bytes)
  }

  function work(client: Client, bytes: Buffer): void {
    client.unread = null
    parts.throttle().begin(client)
    let at = 0
    try {
      while (client.holds === 0 && client.phase !== 'closed') {
        if (at >= bytes.length) return
        const frame = frameAt(bytes, at)
        if (frame === null || frame.end > bytes.length) break
        const packet = at === 0 && frame.end === bytes.length ? bytes : bytes.subarray(at, frame.end)
        const body = frame.body - at
        at = frame.end
        handle(client, packet, body, at < bytes.length)
      }
      if (client.phase !== 'closed') client.unread = leftOf(bytes, at)
    } catch (error) {
      if (client.phase !== 'closed') parts.onFault(client, error as Error)
    }
  }

  function handle(client: Client, packet: Buffer, body: number, isMore: boolean): void {
    traffic.packetsReceived += 1
    const isConnect = packet[0]! >> 4 === 1
    if (client.phase === 'new') {
      if (!isConnect || packet[0] !== 0x10) throw new PacketFault('the first packet is not CONNECT') // [MQTT-3.1.0-1]
      if (isOfFive(packet, body)) client.version = 5 // whatever else is wrong with it
      parts.onConnect(client, decoder.connect(packet, body))
      return
    }
    if (isConnect) throw new PacketFault('a second CONNECT', 0x82) // [MQTT-3.1.0-2]
    const decoded = decoder.packet(packet, body, client.version)
    const messages = messagesOf(decoded, client)
    parts.onPacket(client, decoded)
    parts.throttle().handled(client, messages, packet.length - body, isMore)
  }

  return {
    receive,

    /** Reads nothing more from it until it is released as often. */
    hold(client: Client): void {
      client.holds += 1
      if (client.holds === 1) client.stream.pause()
    },

    release(client: Client): void {
      if (client.holds === 0) return
      client.holds -= 1
      if (client.holds > 0 || client.phase === 'closed') return
      const { unread } = client
      if (unread !== null)
        work(
          client,
          unread.pieces.length === 1 ? unread.pieces[0]! : Buffer.concat(unread.pieces, unread.bytes),
        )
      if (client.holds > 0) return
      client.stream.resume()
      client.onEnd?.()
    },

    /** Its stream is closed: `done` is called once what it sent before that is handled. What a reset left is not. */
    finish(client: Client, done: () => void): void {
      const isBehind = client.phase === 'open' || client.phase === 'connecting'
      if (isBehind && client.holds > 0 && client.unread !== null && client.stream.readableEnded)
        client.onEnd = done
      else done()
    },
  }
}

/** Whether CONNECT names version 5, of which nothing else has been read. */
function isOfFive(packet: Buffer, body: number): boolean {
  return packet.length > body + 6 && packet.readUInt16BE(body) === 4 && packet[body + 6] === 5
}
