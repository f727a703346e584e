// Counts what the queues of the session store hold, in messages and bytes, and says which bound stands in the way of one more.

export type QueueBounds = {
  offlineMessagesMax: number
  offlineBytesMax: number
  offlineBytesTotalMax: number
}

export type Weighed = { topic: string; payload: Buffer | string }

/** What a message weighs beside topic and payload: object, buffer header, map entries. */
const OVERHEAD_BYTES = 256

/** What a message would exceed: the bounds of its session, those of all together, or any by itself. */
export type Overflow = 'session' | 'total' | 'alone' | null

export function createQueueLedger(bounds: QueueBounds) {
  const queues = new Map<number, { messages: number; bytes: number }>()
  let queuedMessages = 0
  let queuedBytes = 0

  return {
    overflow(session: number, bytes: number): Overflow {
      if (bytes > bounds.offlineBytesMax || bytes > bounds.offlineBytesTotalMax) return 'alone'
      const queue = queues.get(session)
      if (queue !== undefined) {
        if (queue.messages >= bounds.offlineMessagesMax) return 'session'
        if (queue.bytes + bytes > bounds.offlineBytesMax) return 'session'
      }
      return queuedBytes + bytes > bounds.offlineBytesTotalMax ? 'total' : null
    },
    /** Messages came into a session's queue; negative where they left it. */
    count(session: number, messages: number, bytes: number): void {
      const queue = queues.get(session) ?? { messages: 0, bytes: 0 }
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

export function weigh({ topic, payload }: Weighed): number {
  return OVERHEAD_BYTES + topic.length + payload.length
}
