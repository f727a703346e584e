// Retained messages (MQTT 5 §3.3.1.3): kept in the index and on disk, and shown to who subscribes. Of one that has expired, or whose
// publisher may not publish it any more, nobody is told. Each is charged to the device that published it last; what does not fit is
// refused before anything of it is done.
import type { Client } from '../connection/client.ts'
import type { Output } from '../connection/output.ts'
import { isExpired, type Message, type QoS } from '../message.ts'
import { QuotaExceeded } from '../persistence/quota-exceeded.ts'
import {
  createRetainedLedger,
  type RetainedBounds,
  type RetainedRefusal,
  weighRetained,
} from '../persistence/retained-ledger.ts'
import type { SessionStore } from '../persistence/session-store.ts'
import type { Delivery, DeliveryDesk } from '../session/delivery.ts'
import type { Leavings } from '../session/leavings.ts'
import type { SessionState, Subscription } from '../session/session-state.ts'
import type { TopicIndex } from './topic-index.ts'

export type RetainedMessages = ReturnType<typeof createRetainedMessages>

/** Shown to one session and not acknowledged: beyond this it waits, for each is written on disk. */
const SHOWN_AT_ONCE = 100
const AHEAD_BYTES = 262_144

/** Of the broker's own messages. */
const UNBOUND = { messages: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }

const QUOTA = {
  device: 'the device retains as much as one device may (deviceRetainedMessagesMax, deviceRetainedBytesMax)',
  all: 'all devices together retain as much as they may (retainedMessagesMax, retainedBytesMax)',
}

type Retainable = Pick<Message, 'topic' | 'payload' | 'properties' | 'publisher'>

export function createRetainedMessages(parts: {
  index: Pick<TopicIndex<unknown>, 'retain' | 'unretain' | 'retained' | 'retainedMatching' | 'allRetained'>
  store: SessionStore
  delivery: DeliveryDesk
  output: Output
  leavings(): Pick<Leavings, 'mayShow'>
  all: RetainedBounds
  /** What this device may retain, in all that it published last. */
  boundsOf(deviceId: string): RetainedBounds
  nextSequence(): number
  now(): number
}) {
  const { index, store, delivery, output } = parts
  const byPublisher = new Map<string, Set<string>>()
  const ledger = createRetainedLedger(parts.all)

  const chargeOf = (message: Retainable) => ({
    topic: message.topic,
    owner: message.publisher,
    bytes: weighRetained(message),
  })

  /** Which bound stands in the way of retaining this message; null where it fits. */
  function refusal(message: Retainable): RetainedRefusal {
    if (message.topic.startsWith('$') || message.payload.length === 0) return null
    const { publisher } = message
    return ledger.refusal(chargeOf(message), publisher === null ? UNBOUND : parts.boundsOf(publisher))
  }

  function disown(topic: string): void {
    const publisher = index.retained(topic)?.publisher ?? ''
    const topics = byPublisher.get(publisher)
    topics?.delete(topic)
    if (topics?.size === 0) byPublisher.delete(publisher)
  }

  function put(message: Message): void {
    const { topic, publisher, payload } = message
    disown(topic)
    // Of its own size: a payload as it was read holds on to all that arrived in one piece with it.
    const own = Buffer.allocUnsafeSlow(payload.length)
    payload.copy(own)
    index.retain({ ...message, payload: own })
    if (publisher === null) return
    const topics = byPublisher.get(publisher) ?? new Set()
    byPublisher.set(publisher, topics.add(topic))
  }

  function remove(topic: string): void {
    if (index.retained(topic) === undefined) return
    disown(topic)
    index.unretain(topic)
    // The broker's own word holds for this life of it.
    if (topic.startsWith('$')) return
    ledger.remove(topic)
    store.unretain(topic)
  }

  function* show(
    client: Client,
    state: SessionState,
    subscription: Subscription,
    begunAt: number,
  ): Generator<void> {
    const identifiers = subscription.identifier === null ? [] : [subscription.identifier]
    for (const message of index.retainedMatching(subscription.filter)) {
      // A newer one came as it was published, if it came since.
      if (message.sequence > begunAt || isExpired(message, parts.now()) || !parts.leavings().mayShow(message))
        continue
      const { session } = client
      if (session.ended !== null || !session.rights.receive(message.topic)) continue
      if (subscription.noLocal && message.publisher === state.clientId) continue
      const qos = Math.min(message.qos, subscription.qos) as QoS
      const own: Delivery = {
        state,
        qos,
        retain: true,
        identifiers,
        shared: null,
        messageId: 0,
        isStored: false,
      }
      const shown = { ...message, sequence: parts.nextSequence() }
      let group: Promise<void> | null = null
      if (qos > 0 && state.isKept) {
        delivery.store(own, shown) // it is owed from now on [MQTT-4.4.0-1]
        group = store.kept()
      }
      delivery.send(own, shown, group, [])
      yield
    }
  }

  /** As much as its window and its socket take; the rest when there is room. */
  function goOn(client: Client): void {
    const { state, showing } = client
    if (showing === null || state === null) return
    while (delivery.isOpen(client)) {
      if (output.owedBytes(client) > AHEAD_BYTES || (state.inFlight?.size ?? 0) >= SHOWN_AT_ONCE) return
      if (state.isQueueing && state.isKept) return
      if (showing.next().done === true) {
        client.showing = null
        return
      }
    }
  }

  return {
    /** Loads what the last life left. */
    restore(message: Message): void {
      ledger.put(chargeOf(message))
      put(message)
    },

    /**
     * Keeps it, or removes what its topic holds where it has no payload. Gives whether anything was written. Throws `QuotaExceeded`
     * where its device, or all together, retain as much as they may.
     */
    keep(message: Message): boolean {
      const { topic, payload } = message
      if (payload.length === 0) {
        const isThere = index.retained(topic) !== undefined
        remove(topic)
        return isThere && !topic.startsWith('$')
      }
      if (topic.startsWith('$')) {
        put(message)
        return false
      }
      const refused = refusal(message)
      if (refused !== null) throw new QuotaExceeded(QUOTA[refused], topic)
      store.retain(message)
      ledger.put(chargeOf(message))
      put(message)
      return true
    },
    refusal,
    counts: ledger.counts,

    /** Shows a new subscription what is retained. */
    show(client: Client, state: SessionState, subscription: Subscription): void {
      const more = show(client, state, subscription, parts.nextSequence())
      client.showing = client.showing === null ? more : both(client.showing, more)
      goOn(client)
    },
    goOn,

    /** Forgets what this client retained. */
    forget(clientId: string): void {
      for (const topic of [...(byPublisher.get(clientId) ?? [])]) remove(topic)
    },
    publishers: () => byPublisher.keys(),

    /** Drops what has expired. */
    dropExpired(): void {
      const now = parts.now()
      for (const message of index.allRetained()) if (isExpired(message, now)) remove(message.topic)
    },
  }
}

function* both(one: Iterator<void>, other: Iterator<void>): Generator<void> {
  for (const each of [one, other]) while (each.next().done !== true) yield
}
