// Counts what the session store holds, in messages and bytes, and says what no longer fits.

export type QueueBounds = {
  offlineMessagesMax: number
  offlineBytesMax: number
  offlineBytesTotalMax: number
  retainedMessagesMax: number
  retainedBytesMax: number
}

export type Weighed = { topic: string; payload: Buffer }

/** What a message weighs beside topic and payload: object, buffer header, map entries. */
const OVERHEAD_BYTES = 256

export function createQueueLedger(bounds: QueueBounds) {
  const queues = new Map<string, { messages: number; bytes: number }>()
  const retained = new Map<string, number>()
  let queuedBytes = 0
  let retainedBytes = 0

  return {
    /** Whether a message still fits into a session's queue; if so it is counted in. */
    queue(deviceId: string, message: Weighed): boolean {
      const bytes = weigh(message)
      const queue = queues.get(deviceId) ?? { messages: 0, bytes: 0 }
      if (queue.messages >= bounds.offlineMessagesMax) return false
      if (queue.bytes + bytes > bounds.offlineBytesMax) return false
      if (queuedBytes + bytes > bounds.offlineBytesTotalMax) return false
      queue.messages += 1
      queue.bytes += bytes
      queuedBytes += bytes
      queues.set(deviceId, queue)
      return true
    },
    /** One message left the queue. An acknowledged one no longer knows its payload, so it weighs the average. */
    unqueue(deviceId: string): void {
      const queue = queues.get(deviceId)
      if (queue === undefined) return
      const bytes = queue.bytes / queue.messages
      queue.messages -= 1
      queue.bytes -= bytes
      queuedBytes -= bytes
      if (queue.messages === 0) queues.delete(deviceId)
    },
    hasQueue: (deviceId: string) => queues.has(deviceId),

    /** Whether a retained message fits in place of the one its topic holds; if so it is counted in. */
    retain(message: Weighed): boolean {
      const bytes = weigh(message)
      const before = retained.get(message.topic)
      if (before === undefined && retained.size >= bounds.retainedMessagesMax) return false
      if (retainedBytes - (before ?? 0) + bytes > bounds.retainedBytesMax) return false
      retained.set(message.topic, bytes)
      retainedBytes += bytes - (before ?? 0)
      return true
    },
    unretain(topic: string): void {
      retainedBytes -= retained.get(topic) ?? 0
      retained.delete(topic)
    },
    counts: () => ({ queues: queues.size, queuedBytes, retained: retained.size, retainedBytes }),
  }
}

function weigh({ topic, payload }: Weighed): number {
  return OVERHEAD_BYTES + topic.length + payload.length
}
