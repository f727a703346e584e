// The retained message of each topic, found by topic, by filter and by the device that left it. In memory; knows no rights and no disk.
import { compileMatcher, parseFilter } from '../../../policy/topic-filter.ts'
import type { StoredPacket } from './stored-state.ts'

const WILDCARD = /[+#]/

export type RetainedTopics = ReturnType<typeof createRetainedTopics>

export function createRetainedTopics() {
  const messages = new Map<string, StoredPacket>()
  const byDevice = new Map<string, Set<string>>()

  function disown(topic: string): void {
    const device = messages.get(topic)?.clientId ?? ''
    const topics = byDevice.get(device)
    topics?.delete(topic)
    if (topics?.size === 0) byDevice.delete(device)
  }

  return {
    remove(topic: string): void {
      disown(topic)
      messages.delete(topic)
    },
    /** In place of the one that its topic has, also in the order of them all: who reads them meanwhile does not meet it twice. */
    put(packet: StoredPacket): void {
      const { topic, clientId } = packet
      disown(topic)
      messages.set(topic, { ...packet, payload: ownCopy(packet.payload) })
      if (clientId === undefined) return
      const topics = byDevice.get(clientId) ?? new Set()
      byDevice.set(clientId, topics.add(topic))
    },
    of: (topic: string) => messages.get(topic),
    leftBy: (device: string) => [...(byDevice.get(device) ?? [])],
    devices: () => byDevice.keys(),
    /** Of filters without wildcards first, each as it is when it is reached. */
    *matching(filters: string[]): Generator<StoredPacket> {
      for (const filter of filters) {
        const named = WILDCARD.test(filter) ? undefined : messages.get(filter)
        if (named !== undefined) yield named
      }
      for (const filter of filters) {
        const levels = WILDCARD.test(filter) ? parseFilter(filter) : null
        if (levels === null) continue
        const matches = compileMatcher(levels)
        for (const [topic, packet] of messages) if (matches(topic)) yield packet
      }
    },
  }
}

/** Of its own size: a payload as it was read holds on to all that arrived in one piece with it, 64 KiB for one byte. */
function ownCopy(payload: Buffer | string): Buffer {
  const copy = Buffer.allocUnsafeSlow(Buffer.byteLength(payload))
  if (typeof payload === 'string') copy.write(payload)
  else payload.copy(copy)
  return copy
}
