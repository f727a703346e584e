// Finds the receivers of a message and has it delivered: first what must be on disk, then what is sent. One message is encoded once for
// all receivers of the same form. How many copies a session gets is decided in copies.ts.

import type { Output } from '../connection/output.ts'
import type { Message } from '../message.ts'
import type { SessionStore } from '../persistence/session-store.ts'
import { ownMessage } from '../protocol/own-bytes.ts'
import type { Delivery, DeliveryService, Encodings } from '../session/delivery.ts'
import type { Client, SessionState, Subscription } from '../state.ts'
import type { Bus } from './bus.ts'
import { addCopies, identifiersOf, newDelivery, note } from './copies.ts'
import type { RetainedMessages } from './retained.ts'
import { createSharedGroups, type Group, qosFor } from './shared-groups.ts'
import type { TopicIndex } from './topic-index.ts'

export type Subscriber = SessionState | Group

/** What there is beside this node, for the router. */
export type OtherNodes = {
  /** The number of this node. */
  me: number
  /** A message of QoS 1 or 2, or one to be retained, was routed here. Gives whether it is written for others, in the group that is open. */
  published(message: Message, shares: ReadonlyMap<string, number>): boolean
  /** What a topic retains was cleared here. */
  unretain(topic: string): void
  /** Whether this node comes before another one in an order that all agree upon. */
  isBefore(node: number): boolean
}
/** Of a message from another node: `shares` are the groups that this node knew of, with the node whose members get it. */
export type Arrival = { isRetained: boolean; publisherNode: number; shares: ReadonlyMap<string, number> }

/** What became of a message: `group` is what it was written with, or null; `receivers` are here, and not known where it `isForOthers`. */
export type Published = { group: Promise<void> | null; receivers: number; isForOthers: boolean }

export type Router = ReturnType<typeof createRouter>

const NOBODY: Published = { group: null, receivers: 0, isForOthers: false }
const NO_SHARES: ReadonlyMap<string, number> = new Map()
/** How long one message of some took is told: reading the clock for each would cost a hundredth of it. */
const TIMED_ONE_OF = 16

export function createRouter(parts: {
  index: TopicIndex<Subscriber>
  retained: RetainedMessages
  store: SessionStore
  delivery: DeliveryService
  output: Output
  bounds: {
    offlineMessagesMax: number
    offlineBytesMax: number
    offlineBytesTotalMax: number
    outboundBytesMax: number
  }
  nextSequence(): number
  onForgotten(clientId: string): void
  routed(tookMs: number): void
  others: OtherNodes | null
}) {
  const { index, delivery, output, store } = parts
  let bus: Bus | null = null
  let marks = 0
  let untilTimed = 1
  /** Of the message that is being published. */
  let publisher: Client | null = null
  let outcome: Published = NOBODY
  /** Of the message that comes from another node. */
  let arrival: Arrival | null = null
  let leftHere: string[] = []
  /** Of shared subscriptions, the nodes that get what is being published. */
  let shares: Map<string, number> | null = null

  /** They hear of messages beside the sessions. */
  const taps = new Set<{ matches(topic: string): boolean; deliver(message: Message): void }>()
  const groups = createSharedGroups({
    output,
    outboundBytesMax: parts.bounds.outboundBytesMax,
    bounds: parts.bounds,
    onForgotten: parts.onForgotten,
    handOver,
    subscribe: group => index.subscribe(group.filter, group, groupSubscription(group)),
    unsubscribe: group => index.unsubscribe(group.filter, group),
  })

  /** What comes from the bus. */
  function receive(message: Message): void {
    for (const tap of taps) if (tap.matches(message.topic)) tap.deliver(message)
    marks += 1
    const mark = marks
    const matched: SessionState[] = []
    let shared: Group[] | null = null
    index.match(message.topic, (subscriber, subscription) => {
      if ('members' in subscriber) {
        shared ??= []
        shared.push(subscriber)
      } else note(subscriber, subscription, message, mark, matched)
    })
    const deliveries: Delivery[] = []
    for (const state of matched) addCopies(state, message, deliveries)
    if (shared !== null)
      for (const group of shared as Group[]) {
        if (!isPlacedHere(group, message)) continue
        const member = groups.choose(group, message)
        // Also where it has it by a subscription of its own (MQTT 5 §4.8.2).
        if (member !== null) deliveries.push(asMember(member, group, message))
      }
    outcome = deliver(message, deliveries)
  }

  /** Of a group with members on several nodes one node gets it: the publisher's decides. */
  function isPlacedHere(group: Group, { topic, qos }: Message): boolean {
    const { others } = parts
    if (others === null) return true
    if (arrival !== null) {
      if (qos > 0 && groups.isLeftHere(group, arrival, others)) leftHere.push(group.asked)
      return false
    }
    // What is said below `$`, each node says to those that are there: of those that have members, one to this group.
    if (topic.startsWith('$')) return group.elsewhere?.every(others.isBefore) ?? true
    const node = groups.place(group)
    if (node !== null || qos > 0) {
      shares ??= new Map()
      shares.set(group.asked, node ?? others.me)
    }
    return node === null
  }

  /** What must be on disk is written before anybody gets the message: it is for all of them or for nobody. */
  function deliver(message: Message, deliveries: Delivery[]): Published {
    let isWritten = false
    if (message.retain && arrival?.isRetained !== false) isWritten = parts.retained.keep(message)
    for (const each of deliveries)
      if (each.qos > 0 && each.state.isKept) {
        delivery.store(each, message)
        isWritten = true
      }
    const group = isWritten ? store.kept() : null
    const encodings: Encodings = []
    for (const each of deliveries) {
      const { client } = each.state
      delivery.send(each, message, group, encodings)
      if (each.shared !== null && each.messageId > 0 && !each.isStored) {
        const entry = each.state.inFlight?.get(each.messageId)
        if (entry !== undefined) groups.note(each.state, each.messageId, entry)
      }
      if (publisher !== null && client !== null) output.holdUp(publisher, client)
    }
    return { group, receivers: deliveries.length, isForOthers: false }
  }

  function asMember(state: SessionState, group: Group, message: Message): Delivery {
    const subscription = group.members.get(state)!
    const qos = qosFor(subscription, message)
    const own = newDelivery(state, qos, false, identifiersOf(subscription))
    if (qos === 1 && !state.isKept) own.shared = { asked: group.asked, message: ownMessage(message) }
    return own
  }

  /** A message that a member did not acknowledge, to another: as new, and numbered so. */
  function handOver(group: Group, message: Message): SessionState | null {
    const member = groups.choose(group, message)
    if (member === null) return null
    const again = { ...message, sequence: parts.nextSequence() }
    const before = publisher
    publisher = null
    try {
      deliver({ ...again, retain: false }, [asMember(member, group, again)])
    } finally {
      publisher = before
    }
    return member
  }

  return {
    groups,
    taps,
    receive,
    /**
     * A message that another node published. Throws where it cannot be written: then nobody here got it. Of shared subscriptions nobody
     * is given it: gives those that are left to this node, for `giveToGroup`.
     */
    receiveFrom(message: Message, from: Arrival): readonly string[] {
      arrival = from
      leftHere = []
      const before = publisher
      publisher = null
      try {
        receive(message)
      } finally {
        arrival = null
        publisher = before
      }
      return leftHere
    },
    /** Gives a message to a member here. Gives whether one takes it. */
    giveToGroup(asked: string, message: Message): boolean {
      const group = groups.get(asked)
      const member = group === undefined ? null : groups.choose(group, message)
      if (group === undefined || member === null) return false
      deliver({ ...message, retain: false }, [asMember(member, group, message)])
      return true
    },
    /** Whether anybody here may get what is published on this topic. */
    isWanted(topic: string): boolean {
      let found = taps.size > 0 && [...taps].some(tap => tap.matches(topic))
      index.match(topic, () => {
        found = true
      })
      return found
    },
    /** What is being published, for other nodes. */
    shares: (): ReadonlyMap<string, number> => shares ?? NO_SHARES,
    /** A message that stored sessions are owed, by the subscriptions of them that `match` finds. */
    queueFor(message: Message, match: (found: (of: SessionState, by: Subscription) => void) => void): void {
      marks += 1
      const matched: SessionState[] = []
      match((state, subscription) => note(state, subscription, message, marks, matched))
      const owed: Delivery[] = []
      for (const state of matched) addCopies(state, message, owed)
      for (const each of owed) if (each.qos > 0 && each.state.isKept) delivery.store(each, message)
    },
    /** Where messages go from now on. */
    connect(to: Bus): void {
      bus = to
    },
    /** Publishes a message to all nodes. Throws where it cannot be written: then nobody got it. */
    publish(message: Message, from: Client | null): Published {
      untilTimed -= 1
      const isTimed = untilTimed === 0
      const began = isTimed ? performance.now() : 0
      const before = publisher
      publisher = from
      outcome = NOBODY
      shares = null
      try {
        bus!.publish(message)
        if (parts.others?.published(message, shares ?? NO_SHARES) === true)
          outcome = { ...outcome, group: store.kept(), isForOthers: true }
      } finally {
        publisher = before
      }
      if (isTimed) {
        untilTimed = TIMED_ONE_OF
        parts.routed(performance.now() - began)
      }
      return outcome
    },
  }
}
/** For the index: of a group its members have options of their own. */
function groupSubscription({ asked }: Group): Subscription {
  return { filter: asked, qos: 2, noLocal: false, retainAsPublished: false, identifier: null }
}
