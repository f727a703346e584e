// What stands before each message on the bus: its sender and its number there. A process whose subscriptions overlap is sent a message
// once for each; NATS keeps the order of a sender over all of them, so a number that is not above the last one was there already.
import { randomBytes } from 'node:crypto'

const SENDER_BYTES = 6
const NUMBER_BYTES = 6
const HEADER_BYTES = SENDER_BYTES + NUMBER_BYTES
/** Senders that are remembered, the ones heard last; more processes than any bus has. */
const SENDERS_MAX = 1_024

export function createFrames() {
  const sender = randomBytes(SENDER_BYTES)
  const last = new Map<number, number>()
  let count = 0

  return {
    /** With its header, to be sent. */
    close(content: Uint8Array): Uint8Array {
      count += 1
      const frame = Buffer.allocUnsafe(HEADER_BYTES + content.length)
      sender.copy(frame)
      frame.writeUIntBE(count, SENDER_BYTES, NUMBER_BYTES)
      frame.set(content, HEADER_BYTES)
      return frame
    },
    /** The content; `again` where it was there before, null where these bytes are no frame. */
    open(bytes: Uint8Array): Uint8Array | 'again' | null {
      if (bytes.length < HEADER_BYTES) return null
      const header = Buffer.from(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
      const from = header.readUIntBE(0, SENDER_BYTES)
      const number = header.readUIntBE(SENDER_BYTES, NUMBER_BYTES)
      const before = last.get(from)
      if (before !== undefined && number <= before) return 'again'
      if (before === undefined && last.size >= SENDERS_MAX) last.delete(last.keys().next().value!)
      last.set(from, number)
      return bytes.subarray(HEADER_BYTES)
    },
  }
}
