// What this node tells the others once it is durable: the messages themselves, on the subjects of their topics, and a digest of them to all,
// which comes behind them; and the groups of shared subscriptions that it has members of.
import type { BusConnection } from '../../bus/connection.ts'
import { encodeControl } from './control.ts'
import type { Written } from './group-writer.ts'

/** Of one digest. nats-server takes 1 MiB by default. */
const [ENTRIES_MAX, BYTES_MAX] = [1_000, 262_144]
/** What is retained goes to all nodes with the digest, unless it is larger: then it is read from the log. */
const INLINE_BYTES_MAX = 32_768

export function createOutgoing(parts: {
  me: number
  nats: Pick<BusConnection, 'publish' | 'isClosed'>
  subject: string
  /** To the nodes that follow the topic. */
  send(topic: string, bytes: Uint8Array): void
  /** Of the groups that have members here, as they were asked for. */
  groupsHere(): string[]
  /** The version of the last of several messages that this node retained on a topic. */
  versioned(topic: string, version: number, number: number): void
}) {
  const { me, nats, subject } = parts
  let announced = ''

  function tell(control: Parameters<typeof encodeControl>[0]): void {
    if (!nats.isClosed()) nats.publish(subject, encodeControl(control))
  }

  function announceGroups(again: boolean): void {
    const groups = parts.groupsHere()
    const text = groups.join('\n')
    if (text === announced && !again) return
    announced = text
    tell({ kind: 'groups', from: me, groups })
  }

  return {
    /** Tells the others its groups, and asks for theirs: this node is new, or was not heard for a while. */
    hello(): void {
      tell({ kind: 'hello', from: me })
      announceGroups(true)
    },
    announceGroups: () => announceGroups(true),

    /** A group is in PostgreSQL. */
    written({ log, versions }: Written): void {
      const last = new Map<string, number>()
      for (const { topic, isRetained, number } of log) if (isRetained) last.set(topic, number)
      for (const [topic, version] of versions) parts.versioned(topic, version, last.get(topic) ?? 0)
      announceGroups(false)
      for (const { topic, isRetained, bytes } of log) if (!isRetained) parts.send(topic, bytes)
      for (let at = 0; at < log.length; ) {
        const first = log[at]!.number
        const entries = []
        for (let size = 0; at < log.length && entries.length < ENTRIES_MAX && size < BYTES_MAX; at += 1) {
          if (log[at]!.number !== first + entries.length) break // one that PostgreSQL refused is missing
          const { topic, isRetained, number, nodes, bytes } = log[at]!
          const inline = isRetained && bytes.length <= INLINE_BYTES_MAX ? bytes : null
          const version = last.get(topic) === number ? (versions.get(topic) ?? 0) : 0
          entries.push({ topic, nodes, retained: isRetained ? { version, inline } : null })
          size += topic.length + (inline?.length ?? 0)
        }
        tell({ kind: 'digest', from: me, first, entries })
      }
    },
  }
}
