// Counts what the queues of the session store hold, in messages and bytes, and says which bound stands in the way of one more.

export type QueueBounds = {
  offlineMessagesMax: number
  offlineBytesMax: number
  offlineBytesTotalMax: number
}

/** Why a message does not fit: its session's queue is full as things are, or the message is larger than any queue may be. */
export type Overflow = 'full' | 'alone' | null

/** Room of every session that no other can take: `offlineBytesTotalMax` bounds what sessions hold beyond it, all together. */
export const RESERVED_BYTES = 16_384

export function createQueueQuota(bounds: QueueBounds) {
  const queues = new Map<number, { messages: number; bytes: number }>()
  let queuedMessages = 0
  let queuedBytes = 0
  let sharedBytes = 0

  const beyondReserve = (bytes: number) => Math.max(0, bytes - RESERVED_BYTES)

  /** Bytes that must leave the session's queue before a message of this size fits. */
  function excess(session: number, bytes: number): number {
    const held = queues.get(session)?.bytes ?? 0
    const sharedLeft = bounds.offlineBytesTotalMax - (sharedBytes - beyondReserve(held))
    const room = Math.min(bounds.offlineBytesMax, RESERVED_BYTES + Math.max(0, sharedLeft))
    return Math.max(0, held + bytes - room)
  }

  return {
    overflow(session: number, bytes: number): Overflow {
      if (bytes > bounds.offlineBytesMax || beyondReserve(bytes) > bounds.offlineBytesTotalMax) return 'alone'
      const messages = queues.get(session)?.messages ?? 0
      return messages >= bounds.offlineMessagesMax || excess(session, bytes) > 0 ? 'full' : null
    },
    excess,
    /** Messages came into a session's queue; negative where they left it. */
    count(session: number, messages: number, bytes: number): void {
      const queue = queues.get(session) ?? { messages: 0, bytes: 0 }
      sharedBytes += beyondReserve(queue.bytes + bytes) - beyondReserve(queue.bytes)
      queue.messages += messages
      queue.bytes += bytes
      queuedMessages += messages
      queuedBytes += bytes
      if (queue.messages === 0) queues.delete(session)
      else queues.set(session, queue)
    },
    of: (session: number) => queues.get(session) ?? { messages: 0, bytes: 0 },

    counts: () => ({
      queues: queues.size,
      queuedMessages,
      queuedBytes,
    }),
  }
}
