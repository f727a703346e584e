// What this node publishes for others: as bytes on the bus, or numbered into the log; and messages for shared subscriptions that another node
// was to give to its members and did not, for it has ended.
import type { LogRow } from '../../../db/cluster/cluster-store.ts'
import type { Message } from '../message.ts'
import { ownMessage } from '../protocol/own-bytes.ts'
import type { EngineSide } from './engine-side.ts'
import type { GroupWriter } from './group-writer.ts'
import type { Envelope, EnvelopeCodec } from './message-codec.ts'
import type { RetainedVersions } from './retained-versions.ts'

const PAGE = 500

export function createPublishing(parts: {
  me: number
  writer: GroupWriter
  versions: RetainedVersions
  engine(): EngineSide
  codec: EnvelopeCodec
  /** All that was published until now is in PostgreSQL. */
  kept(): Promise<void>
  readOwnLog(after: number, upTo: number, limit: number): Promise<LogRow[]>
  place(asked: string, envelope: Pick<Envelope, 'message'>): void
  hasEnded(node: number): boolean
}) {
  const { me, writer, codec } = parts
  /** Of nodes that have ended: the messages of which it is not looked yet whether they were for their members. */
  const unplaced = new Map<number, { after: number; upTo: number }>()

  return {
    me,
    isBefore: (node: number) => me < node || parts.hasEnded(node),
    /** A message of QoS 0 that is not to be retained; null of others, and of the broker's own below `$`. */
    live(message: Message): Buffer | null {
      if (message.qos > 0 || message.retain || message.topic.startsWith('$')) return null
      const shares = parts.engine().shares()
      return codec.encode({
        ...{ publisherNode: me, number: 0, message, principal: null },
        ...{ onlyShared: false, shares },
      })
    },

    /** The others, in the group that is open. Gives whether it is one of them. */
    logged(message: Message, shares: ReadonlyMap<string, number>): boolean {
      const { topic, qos, retain, payload, publisher, sequence } = message
      if ((qos === 0 && !retain) || topic.startsWith('$')) return false
      const engine = parts.engine()
      engine.touch()
      const principal = retain && publisher !== null ? engine.principalOf(publisher) : null
      const isRemoval = retain && payload.length === 0
      const own = { sequence, topic, isRetained: retain, isRemoval, nodes: [...shares.values()] }
      writer.publish(own, number =>
        codec.encode({ publisherNode: me, number, message, principal, onlyShared: false, shares }),
      )
      if (retain) parts.versions.published(writer.published(), message)
      if (qos > 0)
        for (const [asked, node] of shares)
          if (parts.hasEnded(node)) parts.place(asked, { message: ownMessage(message) })
      return true
    },

    /**
     * What was retained here last on the topic is removed on all nodes, behind the message itself, and nobody is sent anything. Another
     * node's is removed there; every node has removed what it holds.
     */
    unretain(topic: string): void {
      if (!parts.versions.isOwn(topic)) return
      const none = {
        payload: Buffer.alloc(0),
        qos: 1,
        retain: true,
        publisher: null,
        properties: null,
      } as const
      const message = { topic, ...none, expiresAt: null }
      parts.engine().touch()
      const own = { sequence: null, topic, isRetained: true, isRemoval: true, nodes: [] }
      writer.publish(own, number =>
        codec.encode({
          ...{ publisherNode: me, number, message, principal: null },
          ...{ onlyShared: true, shares: new Map() },
        }),
      )
      parts.versions.published(writer.published(), { ...message, sequence: 0 })
    },

    /** To the members of a group at another node alone. */
    passOn(asked: string, node: number, message: Message): void {
      const own = { ...message, retain: false }
      const { topic } = own
      parts.engine().touch()
      writer.publish({ sequence: null, topic, isRetained: false, isRemoval: false, nodes: [node] }, number =>
        codec.encode({
          ...{ publisherNode: me, number, message: own, principal: null },
          ...{ onlyShared: true, shares: new Map([[asked, node]]) },
        }),
      )
    },

    /**
     * A node has ended that has taken this node's messages up to this number: what it was to give to members goes to others. Where it
     * rejects, the next call goes on.
     */
    async placeAnew(node: number, taken: number): Promise<void> {
      const rest = unplaced.get(node) ?? { after: taken, upTo: writer.published() }
      unplaced.set(node, rest)
      await parts.kept() // the last of them may be on their way into the log
      while (rest.after < rest.upTo) {
        const rows = await parts.readOwnLog(rest.after, rest.upTo, PAGE)
        for (const { number, message } of rows) {
          rest.after = number
          const envelope = codec.decode(message)
          for (const [asked, chosen] of envelope?.shares ?? [])
            if (chosen === node && envelope !== null && envelope.message.qos > 0) parts.place(asked, envelope)
        }
        if (rows.length < PAGE) break
      }
      unplaced.delete(node)
    },
  }
}
