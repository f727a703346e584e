// How many retained messages each device holds: each is charged to the device that published it last. Counts and decides; stores
// nothing.
import type { Message } from '../message.ts'

/** Bytes as `weighRetained` counts them. */
export type RetainedBounds = { messages: number; bytes: number }

/** `owner` is a device ID; null is the broker itself, which is bound by the whole alone. */
export type Charge = { topic: string; owner: string | null; bytes: number }

/** Which bound a message would exceed: that of its device, or that of all retained messages. Null where it fits. */
export type RetainedRefusal = 'device' | 'all' | null

/** What a retained message takes in memory beside topic and payload: packet, buffer, and its entries in four maps. */
const OVERHEAD_BYTES = 768

/** No device may hold more than this share of what all may. */
const SHARE_OF_ALL = 2

export function createRetainedQuota(all: RetainedBounds) {
  const charged = new Map<string, Omit<Charge, 'topic'>>()
  const byOwner = new Map<string, RetainedBounds>()
  let allBytes = 0

  function count(owner: string | null, messages: number, bytes: number): void {
    allBytes += bytes
    if (owner === null) return
    const own = byOwner.get(owner) ?? { messages: 0, bytes: 0 }
    own.messages += messages
    own.bytes += bytes
    if (own.messages === 0) byOwner.delete(owner)
    else byOwner.set(owner, own)
  }

  function remove(topic: string): void {
    const before = charged.get(topic)
    if (before === undefined) return
    charged.delete(topic)
    count(before.owner, -1, -before.bytes)
  }

  return {
    /**
     * Which bound stands in the way of this message in place of the one that its topic has. What does not grow always fits, so a
     * device that holds more than a bound that was lowered keeps it, and goes on with it.
     */
    refusal({ topic, owner, bytes }: Charge, bounds: RetainedBounds): RetainedRefusal {
      const before = charged.get(topic)
      if (before !== undefined && bytes <= before.bytes && owner === before.owner) return null
      if (owner !== null) {
        const own = byOwner.get(owner) ?? { messages: 0, bytes: 0 }
        const replaced = before?.owner === owner ? before : null
        const messagesMax = Math.min(bounds.messages, share(all.messages))
        const bytesMax = Math.min(bounds.bytes, share(all.bytes))
        if (replaced === null && own.messages >= messagesMax) return 'device'
        if (own.bytes - (replaced?.bytes ?? 0) + bytes > bytesMax) return 'device'
      }
      if (before === undefined && charged.size >= all.messages) return 'all'
      return allBytes - (before?.bytes ?? 0) + bytes > Math.max(all.bytes, allBytes) ? 'all' : null
    },
    /** Charges a message that is stored in place of the one that its topic has. */
    put({ topic, owner, bytes }: Charge): void {
      remove(topic)
      charged.set(topic, { owner, bytes })
      count(owner, 1, bytes)
    },
    remove,
    of: (owner: string): RetainedBounds => byOwner.get(owner) ?? { messages: 0, bytes: 0 },
    counts: () => ({ retained: charged.size, retainedBytes: allBytes }),
  }
}

function share(of: number): number {
  return Math.max(1, Math.floor(of / SHARE_OF_ALL))
}

export function weighRetained({
  topic,
  payload,
  properties,
}: Pick<Message, 'topic' | 'payload' | 'properties'>): number {
  return OVERHEAD_BYTES + topic.length + payload.length + (properties?.length ?? 0)
}
