// What members of groups were sent with QoS 1 and have not acknowledged: bounded for each connection, and for all together.
// Of clean sessions alone, the others have their queue. Not who gets it when a session ends.
import type { AedesPublishPacket } from 'aedes'
import type { Inside } from './aedes-client.ts'
import { type QueueBounds, weigh } from './queue-ledger.ts'

const MESSAGE_ID_MAX = 65_535
/** So many messages may hold on to the piece that they arrived in, of 16 KiB mostly. */
const PIECES_MAX = 256

/** Of one connection: they are in memory, where a queue is on disk. */
export const REDELIVERY_BYTES_MAX = 1_048_576

/** A message as it was sent to a member of the group that asked for it so, and the QoS that it came with. */
export type Owed = { asked: string; packet: AedesPublishPacket; qos: 1 | 2; bytes: number }

/** Of one connection, by packet identifier, in the order in which it was sent. */
export type Unacknowledged = { messages: Map<number, Owed>; bytes: number }

export function createUnacknowledged(parts: {
  bounds: Pick<QueueBounds, 'offlineMessagesMax' | 'offlineBytesMax' | 'offlineBytesTotalMax'>
  /** A message that would be lost with its connection now. */
  onForgotten(client: Inside): void
}) {
  const { offlineMessagesMax, offlineBytesTotalMax } = parts.bounds
  const bytesMax = Math.min(parts.bounds.offlineBytesMax, REDELIVERY_BYTES_MAX)
  let totalBytes = 0

  function strikeOut(own: Unacknowledged, messageId: number): boolean {
    const owed = own.messages.get(messageId)
    if (owed === undefined) return false
    own.messages.delete(messageId)
    own.bytes -= owed.bytes
    totalBytes -= owed.bytes
    return true
  }

  function forget(client: Inside, own: Unacknowledged, messageId: number): void {
    if (strikeOut(own, messageId)) parts.onForgotten(client)
  }

  const isFull = (own: Unacknowledged, bytes: number) =>
    own.messages.size >= offlineMessagesMax ||
    own.bytes + bytes > bytesMax ||
    totalBytes + bytes > offlineBytesTotalMax

  return {
    /** A message is about to be sent, and gets its identifier for that. Where there is no room, the oldest is forgotten. */
    note(client: Inside, asked: string, packet: AedesPublishPacket, qos: 1 | 2): void {
      client.unacknowledged ??= { messages: new Map(), bytes: 0 }
      const own = client.unacknowledged
      const messageId = client._nextId
      packet.messageId = messageId
      client._nextId = (messageId % MESSAGE_ID_MAX) + 1
      forget(client, own, messageId) // the identifiers have gone round
      const bytes = weigh(packet)
      const fits = bytes <= bytesMax
      while (fits && own.messages.size > 0 && isFull(own, bytes))
        forget(client, own, own.messages.keys().next().value!)
      if (isFull(own, bytes)) {
        parts.onForgotten(client)
        return
      }
      // Beyond a few, a copy: each would hold on to all that arrived in one piece with it.
      if (own.messages.size >= PIECES_MAX) packet.payload = Buffer.from(packet.payload)
      own.messages.set(messageId, { asked, packet, qos, bytes })
      own.bytes += bytes
      totalBytes += bytes
    },

    acknowledge(client: Inside, messageId: number): void {
      if (client.unacknowledged !== undefined) strikeOut(client.unacknowledged, messageId)
    },

    /** All that a connection that has ended leaves, in its order; it is noted here no more. */
    take(client: Inside): Owed[] {
      const own = client.unacknowledged
      if (own === undefined) return []
      client.unacknowledged = undefined
      totalBytes -= own.bytes
      return [...own.messages.values()]
    },
  }
}
