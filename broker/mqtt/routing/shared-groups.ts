// Groups that share a subscription (`$share/GROUP/FILTER`, MQTT 5 §4.8.2, offered to every version): each message goes to one member,
// in turn. Chooses a member; how a message reaches it is the matter of delivery.

import { parseSubscription } from '../../../policy/subscription.ts'
import type { Output } from '../connection/output.ts'
import type { Message, QoS } from '../message.ts'
import { weigh } from '../message.ts'
import type { InFlight, SessionState, SharedDelivery, Subscription } from '../state.ts'

/**
 * What a member can do with a message now: take it; take it though it reads slowly; have it wait in its stored session; or nothing,
 * for it may not or is going.
 */
type MemberState = 'ready' | 'slow' | 'waiting' | 'out'

/** Of one connection: they are in memory, where a queue is on disk. */
export const REDELIVERY_BYTES_MAX = 1_048_576

/** The members in the order of their turns. */
export type Group = {
  readonly asked: string
  readonly filter: string
  members: Map<SessionState, Subscription>
  /** Other nodes that have members of it, by their number; null for none. */
  elsewhere: readonly number[] | null
  /** Counts the messages that were given out among nodes. */
  turns: number
}

export type SharedGroups = ReturnType<typeof createSharedGroups>

export function createSharedGroups(parts: {
  output: Output
  outboundBytesMax: number
  /** So much is kept of what a session that is not stored has not acknowledged. */
  bounds: { offlineMessagesMax: number; offlineBytesMax: number; offlineBytesTotalMax: number }
  /** A message that this client has not acknowledged would be lost with its session. */
  onForgotten(clientId: string): void
  /** Gives a message to a member of this group; false where nobody takes it. */
  handOver(group: Group, message: Message): SessionState | null
  subscribe(group: Group): void
  unsubscribe(group: Group): void
}) {
  const groups = new Map<string, Group>()
  const owed = new WeakMap<SessionState, { messages: Map<number, InFlight>; bytes: number }>()
  let totalBytes = 0
  const bytesMax = Math.min(parts.bounds.offlineBytesMax, REDELIVERY_BYTES_MAX)
  let changes = 0
  let isClosing = false

  function stateOf(state: SessionState, { qos }: Subscription, topic: string): MemberState {
    const { client } = state
    const keeps = qos > 0 && state.isKept
    if (isClosing || client === null || client.phase !== 'open' || client.session.ended !== null)
      return keeps ? 'waiting' : 'out'
    if (!client.session.rights.receive(topic)) return 'out'
    return parts.output.unsentBytes(client) > parts.outboundBytesMax ? 'slow' : 'ready'
  }

  function groupOf(asked: string): Group | undefined {
    const known = groups.get(asked)
    if (known !== undefined) return known
    const filter = parseSubscription(asked)?.text
    if (filter === undefined) return undefined
    const group: Group = { asked, filter, members: new Map(), elsewhere: null, turns: 0 }
    groups.set(asked, group)
    parts.subscribe(group)
    return group
  }

  function dropWithout(group: Group): void {
    if (group.members.size > 0 || group.elsewhere !== null) return
    groups.delete(group.asked)
    parts.unsubscribe(group)
  }

  /** The member that may take it and has waited longest; it goes to the end of the line. */
  function takeTurn({ members }: Group, topic: string, wanted: MemberState): SessionState | null {
    for (const [state, subscription] of members) {
      if (stateOf(state, subscription, topic) !== wanted) continue
      members.delete(state)
      members.set(state, subscription)
      return state
    }
    return null
  }

  function forget(state: SessionState, messageId: number): void {
    const own = owed.get(state)
    const entry = own?.messages.get(messageId)
    if (own === undefined || entry === undefined) return
    own.messages.delete(messageId)
    own.bytes -= entry.bytes
    totalBytes -= entry.bytes
    entry.shared = null
  }

  /** What a session that has ended did not acknowledge goes to others, in its order (MQTT 5 §4.8.2). */
  function handOn(clientId: string, left: SharedDelivery[]): void {
    const goOn = (from: number) => {
      for (let at = from, bytes = 0; at < left.length; at += 1) {
        const { asked, message } = left[at]!
        bytes += weigh(message)
        const group = groups.get(asked)
        const member = group === undefined ? null : parts.handOver(group, message)
        if (member === null) parts.onForgotten(clientId)
        // At once no more than makes its receiver slow; a receiver that is kept waiting is soon left alone.
        else if (bytes > parts.outboundBytesMax && member.client !== null) {
          parts.output.whenRoom(member.client, () => goOn(at + 1))
          return
        }
      }
    }
    goOn(0)
  }

  return {
    /** The member whose turn it is; null where nobody takes it. */
    choose(group: Group, { topic, qos }: Message): SessionState | null {
      return (
        takeTurn(group, topic, 'ready') ??
        takeTurn(group, topic, 'slow') ??
        (qos === 0 ? null : takeTurn(group, topic, 'waiting'))
      )
    },

    join(state: SessionState, subscription: Subscription): void {
      const asked = subscription.filter
      const group = groupOf(asked)
      if (group?.members.size === 0) changes += 1
      group?.members.set(state, subscription)
    },

    leave(state: SessionState, asked: string): void {
      const group = groups.get(asked)
      if (group === undefined) return
      if (group.members.delete(state) && group.members.size === 0) changes += 1
      dropWithout(group)
    },

    /** Which other nodes have members of this group; none for an empty list. */
    setElsewhere(asked: string, nodes: readonly number[]): void {
      const group = nodes.length > 0 ? groupOf(asked) : groups.get(asked)
      if (group === undefined) return
      group.elsewhere = nodes.length > 0 ? nodes : null
      dropWithout(group)
    },
    /** The groups that have members here. */
    here: (): string[] =>
      [...groups.values()].filter(({ members }) => members.size > 0).map(({ asked }) => asked),
    /** Another number after each change of which groups have members here. */
    changes: () => changes,
    get: (asked: string) => groups.get(asked),

    /** The node whose members get this message; null for this one. In turn. */
    place(group: Group): number | null {
      const { elsewhere, members } = group
      if (elsewhere === null) return null
      const isHere = members.size > 0 ? 1 : 0
      const turn = group.turns % (elsewhere.length + isHere)
      group.turns += 1
      return isHere === 1 && turn === 0 ? null : elsewhere[turn - isHere]!
    },

    /**
     * Whether a message of another node is for the members here: that node knew of nobody in the group, for they came while the bus was
     * away, or just before. Of several such nodes the first one takes it.
     */
    isLeftHere(
      { asked, members, elsewhere }: Group,
      from: { publisherNode: number; shares: ReadonlyMap<string, number> },
      others: { isBefore(node: number): boolean },
    ): boolean {
      if (members.size === 0 || from.shares.has(asked)) return false
      return elsewhere?.every(node => node === from.publisherNode || others.isBefore(node)) ?? true
    },

    /** A message of QoS 1 was sent to a session that is not stored: noted, within bounds. The oldest is forgotten. */
    note(state: SessionState, messageId: number, entry: InFlight): void {
      const { bounds } = parts
      let own = owed.get(state)
      if (own === undefined) {
        own = { messages: new Map(), bytes: 0 }
        owed.set(state, own)
      }
      const { bytes } = entry
      const isFull = () =>
        own.messages.size >= bounds.offlineMessagesMax ||
        own.bytes + bytes > bytesMax ||
        totalBytes + bytes > bounds.offlineBytesTotalMax
      const fits = bytes <= bytesMax
      while (fits && own.messages.size > 0 && isFull()) {
        forget(state, own.messages.keys().next().value!)
        parts.onForgotten(state.clientId)
      }
      if (isFull()) {
        entry.shared = null
        parts.onForgotten(state.clientId)
        return
      }
      own.messages.set(messageId, entry)
      own.bytes += bytes
      totalBytes += bytes
    },

    /** It was acknowledged. */
    acknowledged: forget,

    /** A session that is not stored has ended: what it did not acknowledge, and what waited for it, goes to others. */
    handOn(state: SessionState): void {
      const own = owed.get(state)
      const left: SharedDelivery[] = []
      if (own !== undefined) {
        for (const entry of own.messages.values()) if (entry.shared !== null) left.push(entry.shared)
        totalBytes -= own.bytes
        owed.delete(state)
      }
      for (const { shared } of state.waiting ?? []) if (shared !== null) left.push(shared)
      if (left.length > 0) handOn(state.clientId, left)
    },

    /** The broker stops: from now on messages go to stored sessions alone. */
    close(): void {
      isClosing = true
    },
  }
}

/** The QoS that a message has for a member. */
export function qosFor({ qos }: Subscription, message: Message): QoS {
  return Math.min(qos, message.qos) as QoS
}
