// Trying out what a device may: a message that is published by its rights, and messages that it would be sent. It is no session of the device:
// nothing of it is stored, and what is published names the operator in a user property.
import { compileMatcher, parseFilter } from '../../policy/topic-filter.ts'
import { levelsOf } from './handlers/publish-bounds.ts'
import { isExpired, type Message, type QoS } from './message.ts'
import { type Principal, type RightsResolver, unreadRights } from './rights-resolver.ts'
import type { Router } from './routing/router.ts'
import type { TopicIndex } from './routing/topic-index.ts'

export type TriedMessage = { topic: string; payload: Buffer; qos: QoS; isRetained: boolean }
/** `unavailable` where the policies cannot be read, `invalid` for what no client may send. */
export type TryoutRefusal = 'denied' | 'invalid' | 'unavailable'

export type Tryouts = {
  /** Resolves once it is on its way, and durable for those that are owed it. */
  publish(tried: {
    principal: Principal
    by: string
    topic: string
    payload: Buffer
    qos: QoS
  }): Promise<{ refused: TryoutRefusal } | { receivers: number }>
  /**
   * Calls for each message that the device would be sent by this subscription, retained ones first, until it is stopped or `onMessage` gives
   * false; `onEnd` where the right is withdrawn meanwhile.
   */
  subscribe(tried: {
    principal: Principal
    filter: string
    onMessage(message: TriedMessage): boolean
    onEnd(refused: TryoutRefusal): void
  }): { refused: TryoutRefusal } | { stop(): void }
}

/** What is published by it says so: the name of the operator, as a user property (MQTT 5 §3.3.2.3.7). */
const PROPERTY = 'rollcall-tried-by'
const USER_PROPERTY = 0x26
/** Policies hold for the next message after so long. */
const RIGHTS_MS = 250
const RETAINED_LOOKS_MAX = 10_000

export function createTryouts(parts: {
  router: Pick<Router, 'publish' | 'taps'>
  index: Pick<TopicIndex<unknown>, 'retainedMatching'>
  rightsOf: RightsResolver
  mayShow(message: Message): boolean
  bounds: { topicBytesMax: number; topicLevelsMax: number }
  /** Where messages of other nodes are followed; null for the only node. */
  interest: { follow(filter: string): void; unfollow(filter: string): void } | null
  nextSequence(): number
  now(): number
}): Tryouts {
  const { router, index, bounds } = parts
  const isBeyond = (text: string) =>
    Buffer.byteLength(text) > bounds.topicBytesMax || levelsOf(text) > bounds.topicLevelsMax

  return {
    async publish({ principal, by, topic, payload, qos }) {
      const isTopic = topic !== '' && !/[+#\0]/.test(topic) && !topic.startsWith('$')
      if (!isTopic || !topic.isWellFormed() || isBeyond(topic)) return { refused: 'invalid' }
      const rights = parts.rightsOf(principal)
      if (rights === unreadRights) return { refused: 'unavailable' }
      if (qos > (rights.limits?.qosMax ?? 2) || !rights.publish(topic, qos, false))
        return { refused: 'denied' }
      const message = {
        ...{ topic, payload, qos, retain: false, publisher: null, properties: userProperty(PROPERTY, by) },
        ...{ expiresAt: null, sequence: parts.nextSequence() },
      }
      const { group, receivers } = router.publish(message, null)
      await group
      return { receivers }
    },

    subscribe({ principal, filter, onMessage, onEnd }) {
      const levels = parseFilter(filter)
      if (levels === null || !filter.isWellFormed() || isBeyond(filter) || filter.startsWith('$share/'))
        return { refused: 'invalid' }
      const first = parts.rightsOf(principal)
      if (first === unreadRights) return { refused: 'unavailable' }
      if (!first.subscribe(filter)) return { refused: 'denied' }
      let rights = first
      let boundAt = performance.now()
      let isStopped = false

      function mayReceive(topic: string): boolean {
        if (performance.now() - boundAt >= RIGHTS_MS) {
          rights = parts.rightsOf(principal)
          boundAt = performance.now()
        }
        if (rights.subscribe(filter)) return rights.receive(topic)
        stop()
        onEnd(rights === unreadRights ? 'unavailable' : 'denied')
        return false
      }
      function show({ topic, payload, qos }: Message, isRetained: boolean): void {
        if (!onMessage({ topic, payload, qos, isRetained })) stop()
      }
      const tap = {
        matches: compileMatcher(levels),
        /** Throws nothing: what fails here ends the try-out, and not the delivery to sessions. */
        deliver(message: Message): void {
          if (isStopped) return
          try {
            if (mayReceive(message.topic)) show(message, false)
          } catch {
            stop()
            onEnd('unavailable')
          }
        },
      }
      function stop(): void {
        if (isStopped) return
        isStopped = true
        router.taps.delete(tap)
        parts.interest?.unfollow(filter)
      }
      function showRetained(): void {
        let looks = 0
        for (const message of index.retainedMatching(filter)) {
          looks += 1
          if (looks > RETAINED_LOOKS_MAX || isStopped) return
          if (message === null || isExpired(message, parts.now()) || !parts.mayShow(message)) continue
          if (mayReceive(message.topic)) show(message, true)
        }
      }
      router.taps.add(tap)
      parts.interest?.follow(filter)
      try {
        showRetained()
      } catch (error) {
        stop() // nobody has what would stop it
        throw error
      }
      return { stop }
    },
  }
}

function userProperty(name: string, value: string): Buffer {
  const text = (part: string) => {
    const bytes = Buffer.from(part)
    const length = Buffer.allocUnsafe(2)
    length.writeUInt16BE(bytes.length)
    return Buffer.concat([length, bytes])
  }
  return Buffer.concat([Buffer.of(USER_PROPERTY), text(name), text(value)])
}
