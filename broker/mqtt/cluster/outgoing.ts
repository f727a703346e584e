// What this node tells the others once it is durable: the messages themselves, on the subjects of their topics, and a digest of them to all,
// which comes behind them; and the groups of shared subscriptions that it has members of.
import type { BusConnection } from '../../bus/connection.ts'
import { encodeControl, type GroupChange } from './control.ts'
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
  /** The groups that have members here, as they were asked for. */
  groupsHere(): string[]
  /** Another number after each change of them. */
  groupChanges(): number
  /** The version of the last of several messages that this node retained on a topic. */
  versioned(topic: string, version: number, number: number): void
}) {
  const { me, nats, subject } = parts
  let announced: ReadonlySet<string> = new Set()
  let changesAnnounced = -1

  function tell(control: Parameters<typeof encodeControl>[0]): void {
    if (!nats.isClosed()) nats.publish(subject, encodeControl(control))
  }

  /** All of them, or what changed. */
  function announceGroups(startsAnew: boolean): void {
    const changes = parts.groupChanges()
    if (changes === changesAnnounced && !startsAnew) return
    const now = new Set(parts.groupsHere())
    const joined = startsAnew ? [...now] : [...now].filter(each => !announced.has(each))
    const left = startsAnew ? [] : [...announced].filter(each => !now.has(each))
    changesAnnounced = changes
    announced = now
    for (const change of inParts({ startsAnew, joined, left })) tell({ kind: 'groups', from: me, ...change })
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

/** As many messages as it takes for each to be within bounds; none where nothing changed. */
function* inParts({ startsAnew, joined, left }: GroupChange): Generator<GroupChange> {
  let part: GroupChange = { startsAnew, joined: [], left: [] }
  let [entries, bytes] = [0, 0]
  for (const [which, groups] of Object.entries({ left, joined }) as ['left' | 'joined', string[]][])
    for (const group of groups) {
      if (entries === ENTRIES_MAX || bytes > BYTES_MAX) {
        yield part
        part = { startsAnew: false, joined: [], left: [] }
        ;[entries, bytes] = [0, 0]
      }
      part[which].push(group)
      entries += 1
      bytes += group.length
    }
  if (startsAnew || entries > 0) yield part
}
