// Which retained message of a topic is the newest, over all nodes: by the version that PostgreSQL gave it. A node that retained one and
// learns its version later than it hears of an older one keeps its own.
import type { Message } from '../message.ts'

export type RetainedVersions = ReturnType<typeof createRetainedVersions>

export function createRetainedVersions(parts: {
  /** Keeps it, or removes what its topic holds where it has no payload. */
  keep(message: Message): void
}) {
  const versions = new Map<string, number>()
  /** The last own message of a topic while its version is not known, and whether another was kept since. */
  const own = new Map<string, { number: number; message: Message; isOverwritten: boolean }>()
  /** Topics whose newest message is this node's. */
  const ownTopics = new Set<string>()

  return {
    of: (topic: string) => versions.get(topic) ?? 0,
    restore: (topic: string, version: number) => void versions.set(topic, version),
    published(number: number, message: Message): void {
      own.set(message.topic, { number, message, isOverwritten: false })
      if (message.payload.length > 0) ownTopics.add(message.topic)
      else ownTopics.delete(message.topic)
    },
    /** Whether what the topic retains was published at this node, in this life of it. */
    isOwn: (topic: string) => ownTopics.has(topic),
    /** Whether one of another node is to be kept. */
    isNewer(topic: string, version: number): boolean {
      if (version <= (versions.get(topic) ?? 0)) return false
      versions.set(topic, version)
      ownTopics.delete(topic)
      const before = own.get(topic)
      if (before !== undefined) before.isOverwritten = true
      return true
    },
    /** This node's own message of this number gets no version. Gives whether it is what is kept here. */
    refused(topic: string, number: number): boolean {
      const mine = own.get(topic)
      if (mine?.number !== number) return false
      own.delete(topic)
      ownTopics.delete(topic)
      return !mine.isOverwritten
    },
    /** This node's own message of this number has got its version. */
    written(topic: string, version: number, number: number): void {
      const mine = own.get(topic)
      const isLast = mine?.number === number
      if (isLast) own.delete(topic)
      if (version <= (versions.get(topic) ?? 0)) return
      versions.set(topic, version)
      if (!isLast || !mine.isOverwritten) return
      if (mine.message.payload.length > 0) ownTopics.add(topic)
      parts.keep(mine.message)
    },
  }
}
