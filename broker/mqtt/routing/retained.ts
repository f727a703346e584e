// Retained messages (MQTT 5 §3.3.1.3): kept in the index and on disk, and sent to a new subscriber. Of one that has expired, or whose
// publisher may not publish it any more, nobody is told. Each is charged to the device that published it last; what does not fit is
// refused before anything of it is done.

import type { RetainedFacts } from '../../../db/retained/retained-file.ts'
import type { Output } from '../connection/output.ts'
import { isExpired, type Message, type QoS, type RetainedMessage } from '../message.ts'
import { QuotaExceeded } from '../persistence/quota-exceeded.ts'
import {
  createRetainedQuota,
  type RetainedBounds,
  type RetainedRefusal,
  weighRetained,
} from '../persistence/retained-quota.ts'
import type { SessionStore } from '../persistence/session-store.ts'
import { ownMessage } from '../protocol/own-bytes.ts'
import type { Delivery, DeliveryService } from '../session/delivery.ts'
import type { StoredStateAuthorization } from '../session/stored-state-authorization.ts'
import type { Client, SessionState, Subscription } from '../state.ts'
import { identifiersOf } from './copies.ts'
import type { ShowThrottle } from './show-throttle.ts'
import type { TopicIndex } from './topic-index.ts'

export type RetainedMessages = ReturnType<typeof createRetainedMessages>

/** Shown to one session and not acknowledged: beyond this it waits, for each is written on disk. */
const SHOWN_AT_ONCE = 100
const AHEAD_BYTES = 262_144
/** Looked at for one client in one turn of the event loop: half a millisecond. */
const LOOKS_PER_TURN = 500
/** Where none of them was to be shown it pauses, so that filters that match little take a tenth of the time at most. */
const PAUSE_MS = 5

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
  delivery: DeliveryService
  output: Output
  storedState(): Pick<StoredStateAuthorization, 'mayShow'>
  all: RetainedBounds
  /** What this device may retain, in all that it published last. */
  boundsOf(deviceId: string): RetainedBounds
  throttle: ShowThrottle
  nextSequence(): number
  /** What a topic retains is another message now, or none. */
  onChanged(topic: string): void
  now(): number
}) {
  const { index, store, delivery, output } = parts
  const byPublisher = new Map<string, Set<string>>()
  const quota = createRetainedQuota(parts.all)
  const isPaused = new WeakSet<Client>()

  const chargeOf = (message: Retainable) => ({
    topic: message.topic,
    owner: message.publisher,
    bytes: weighRetained(message),
  })

  /** Which bound stands in the way of retaining this message; null where it fits. */
  function refusal(message: Retainable): RetainedRefusal {
    if (message.topic.startsWith('$') || message.payload.length === 0) return null
    const { publisher } = message
    return quota.refusal(chargeOf(message), publisher === null ? UNBOUND : parts.boundsOf(publisher))
  }

  function disown(topic: string): void {
    const publisher = index.retained(topic)?.publisher ?? ''
    const topics = byPublisher.get(publisher)
    topics?.delete(topic)
    if (topics?.size === 0) byPublisher.delete(publisher)
  }

  function put(message: RetainedMessage): void {
    const { topic, publisher } = message
    disown(topic)
    index.retain(ownMessage(message))
    if (!topic.startsWith('$')) parts.onChanged(topic)
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
    quota.remove(topic)
    store.unretain(topic)
    parts.onChanged(topic)
  }

  function* show(
    client: Client,
    state: SessionState,
    subscription: Subscription,
    begunAt: number,
  ): Generator<number> {
    const isToBeShown = (message: Message) =>
      // A newer one came as it was published, if it came since.
      message.sequence <= begunAt &&
      !isExpired(message, parts.now()) &&
      parts.storedState().mayShow(message) &&
      client.session.ended === null &&
      client.session.rights.receive(message.topic) &&
      !(subscription.noLocal && message.publisher === state.clientId)
    const identifiers = identifiersOf(subscription)
    for (const message of index.retainedMatching(subscription.filter)) {
      if (message === null || !isToBeShown(message)) {
        yield 0
        continue
      }
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
      yield message.topic.length + message.payload.length
    }
  }

  /** Whether its window and its socket take more. */
  function hasRoom(client: Client): boolean {
    const { state } = client
    if (state === null || (state.isQueueing && state.isKept)) return false
    return output.owedBytes(client) <= AHEAD_BYTES && (state.inFlight?.size ?? 0) < SHOWN_AT_ONCE
  }

  /** Some, as far as there is room and it may be shown; goes on by itself then, and is called again when there is room again. */
  function goOn(client: Client): void {
    if (isPaused.has(client)) return
    let looks = 0
    let shown = 0
    for (const [filter, messages] of client.showing ?? []) {
      for (; delivery.isOpen(client) && hasRoom(client); looks += 1) {
        if (looks === LOOKS_PER_TURN) {
          pause(client, shown > 0 ? 0 : PAUSE_MS)
          return
        }
        const { done, value } = messages.next()
        if (done === true) break
        if (value === 0) continue
        shown += 1
        const waitMs = parts.throttle.shown(client, value)
        if (waitMs > 0) {
          pause(client, waitMs)
          return
        }
      }
      if (!delivery.isOpen(client) || !hasRoom(client)) return
      client.showing?.delete(filter)
    }
    client.showing = null
  }

  function pause(client: Client, ms: number): void {
    isPaused.add(client)
    const resume = () => {
      isPaused.delete(client)
      goOn(client)
    }
    if (ms === 0) setImmediate(resume)
    else setTimeout(resume, ms).unref()
  }

  return {
    /** Loads what the last life left. */
    restore(message: RetainedMessage): void {
      quota.put(chargeOf(message))
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
        put({ ...message, at: null })
        return false
      }
      const refused = refusal(message)
      if (refused !== null) throw new QuotaExceeded(QUOTA[refused], topic)
      const kept = { ...message, at: parts.now() }
      store.retain(kept)
      quota.put(chargeOf(message))
      put(kept)
      return true
    },
    refusal,
    counts: quota.counts,

    of: (topic: string) => index.retained(topic),
    /** Removes what its topic holds, as if it had never been published. */
    clear: remove,
    *topics(): Generator<string> {
      for (const { topic } of index.allRetained()) if (!topic.startsWith('$')) yield topic
    },
    facts(topic: string): RetainedFacts | null {
      const message = index.retained(topic)
      if (message === undefined) return null
      const { publisher, qos, payload, at, expiresAt } = message
      return { topic, deviceId: publisher, qos, bytes: payload.length, at, expiresAt }
    },

    /** Shows a new subscription what is retained. */
    show(client: Client, state: SessionState, subscription: Subscription): void {
      client.showing ??= new Map()
      // The same again begins anew, and takes no more room.
      client.showing.delete(subscription.filter)
      client.showing.set(subscription.filter, show(client, state, subscription, parts.nextSequence()))
      goOn(client)
    },
    goOn,
    closed: (client: Client) => parts.throttle.closed(client),

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
