// SUBSCRIBE (MQTT 5 §3.8): every filter is checked by itself and answered in its order; SUBACK waits until what was granted is on disk.

import { reasonString } from '../../../db/reason-v5.ts'
import { parseSubscription } from '../../../policy/subscription.ts'
import { isCut, peerInfoOf } from '../connection/sessions.ts'
import { PacketFault } from '../protocol/byte-reader.ts'
import { encodeSuback } from '../protocol/encode.ts'
import { isLonger } from '../protocol/octets.ts'
import type { RequestedSubscription, Subscribe, Version } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import { weighFilter } from '../session/session-state.ts'
import type { Client, SessionState, Subscription } from '../state.ts'
import type { HandlerContext } from './handler-context.ts'
import { levelsOf } from './publish-bounds.ts'

const REFUSED = 0x80
/** Each group is a delivery of its own, where of overlapping filters a session gets few copies: so many groups one session may be in. */
const SHARED_MAX = 32
/** Of a turn of the event loop, for the filters of one packet. */
const SLICE_MS = 1
const isShared = (filter: string) => filter.startsWith('$share/')

/** One code for each filter, in their order; `shown` are those whose retained messages are sent. */
type Verdicts = {
  granted: Map<string, Subscription>
  shown: [RequestedSubscription, Subscription][]
  answers: number[]
}

export function createSubscribeHandler(parts: HandlerContext) {
  const { settings, events, table, store, output, retained } = parts

  function isRefused({ session }: Client, { filter, qos }: RequestedSubscription, isFull: boolean): boolean {
    if (!isFull && !isLonger(filter, settings.topicBytesMax) && session.rights.subscribe(filter)) return false
    events.denied('subscribe_denied', peerInfoOf(session), filter)
    if (!isFull) events.rightDenied(session, { action: 'subscribe', topic: filter, qos, retain: false })
    return true
  }

  /** Yields after each filter: under a long policy one takes up to half a millisecond. */
  function* check(client: Client, state: SessionState, packet: Subscribe): Generator<void, Verdicts> {
    const { session, version } = client
    const granted = new Map<string, Subscription>()
    const shown: Verdicts['shown'] = []
    const answers: number[] = []
    let count = state.subscriptions.size
    let bytes = state.subscriptionBytes
    let shared = 0
    for (const filter of state.subscriptions.keys()) if (isShared(filter)) shared += 1
    const { subscriptionBytes } = parts.boundsOf(session.rights.isBackend === true)
    for (const asked of packet.subscriptions) {
      const { filter, qos, noLocal, retainAsPublished } = asked
      const isKnown = state.subscriptions.has(filter) || granted.has(filter)
      const weight = isKnown ? 0 : weighFilter(filter)
      const isFull =
        !isKnown &&
        (count >= settings.subscriptionsMax ||
          bytes + weight > subscriptionBytes ||
          (isShared(filter) && shared >= SHARED_MAX))
      if (isRefused(client, asked, isFull)) answers.push(refusalCode(version, filter, isFull))
      else {
        const subscription = { filter, qos, noLocal, retainAsPublished, identifier: packet.identifier }
        if (!isKnown) count += 1
        if (!isKnown && isShared(filter)) shared += 1
        bytes += weight
        if (showsRetained(asked, isKnown)) shown.push([asked, subscription])
        granted.set(filter, subscription)
        answers.push(qos)
      }
      yield
    }
    return { granted, shown, answers }
  }

  /** In slices of a turn of the event loop; nothing more is read from the client until it is answered. */
  function goOn(client: Client, state: SessionState, packet: Subscribe): void {
    const { session } = client
    const { rights } = session
    const checking = check(client, state, packet)
    const slice = (): boolean => {
      const endsAt = performance.now() + SLICE_MS
      for (;;) {
        const { done, value } = checking.next()
        if (done === true) {
          answer(client, state, packet, value)
          return true
        }
        if (performance.now() >= endsAt) return false
      }
    }
    if (slice()) return
    parts.input.hold(client)
    const resume = () => {
      if (client.phase === 'closed' || isCut(session)) return
      try {
        // Checked by rights that hold no more: begun anew with those that do.
        if (session.rights !== rights) goOn(client, state, packet)
        else if (!slice()) {
          setImmediate(resume)
          return
        }
      } catch (error) {
        parts.fail(client, error as Error)
      }
      parts.input.release(client)
    }
    setImmediate(resume)
  }

  function answer(
    client: Client,
    state: SessionState,
    packet: Subscribe,
    { granted, shown, answers }: Verdicts,
  ): void {
    const { session, version } = client
    let group: Promise<void> | null = null
    if (granted.size > 0) {
      table.subscribe(state, [...granted.values()])
      if (state.isKept) group = store.kept()
      else if (parts.cluster) {
        store.touch() // other nodes know of it with the group
        group = store.kept()
      }
      for (const filter of granted.keys())
        events.subscriptionsChanged(peerInfoOf(session), state.subscriptions, filter)
    }
    const isTold = version === 5 && !client.noProblemInformation && answers.includes(codes.notAuthorized)
    const suback = encodeSuback(
      version,
      packet.messageId,
      answers,
      isTold ? reasonString('subscribe_denied') : undefined,
    )
    const fits = suback.length <= client.packetBytesMax
    output.sendAfter(client, group, fits ? suback : encodeSuback(version, packet.messageId, answers))
    // Of a filter that stands twice the last one holds [MQTT-3.8.4-3].
    for (const [{ filter }, subscription] of shown)
      if (granted.get(filter) === subscription) retained.show(client, state, subscription)
  }

  return (client: Client, packet: Subscribe): void => {
    const { session, state } = client
    if (state === null || isCut(session)) throw new PacketFault('no right to subscribe')
    for (const { filter } of packet.subscriptions)
      if (levelsOf(filter) > settings.topicLevelsMax) throw new PacketFault('filter has too many levels')
    goOn(client, state, packet)
  }
}

/** Version 5 is told why (§3.9.3). */
function refusalCode(version: Version, filter: string, isFull: boolean): number {
  if (version < 5) return REFUSED
  if (isFull) return codes.quotaExceeded
  return parseSubscription(filter) === null ? codes.topicFilterInvalid : codes.notAuthorized
}

/** [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4] */
function showsRetained({ filter, retainHandling }: RequestedSubscription, isKnown: boolean): boolean {
  if (isShared(filter) || retainHandling === 2) return false
  return retainHandling === 0 || !isKnown
}
