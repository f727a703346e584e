// SUBSCRIBE (MQTT 5 §3.8): every filter is judged by itself and answered in its order; SUBACK waits until what was granted is on disk.
import { reasonString } from '../../../db/reason-v5.ts'
import { parseSubscription } from '../../../policy/subscription.ts'
import type { Client } from '../connection/client.ts'
import { isCut, whoIs } from '../connection/sessions.ts'
import { PacketFault } from '../protocol/byte-reader.ts'
import { encodeSuback } from '../protocol/encode.ts'
import type { RequestedSubscription, Subscribe, Version } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import { type Subscription, weighFilter } from '../session/session-state.ts'
import { levelsOf } from './connect.ts'
import type { HandlerContext } from './handler-context.ts'

const REFUSED = 0x80
/** Each group is a delivery of its own, where overlapping filters of a session are one: so many groups one session may be in. */
const SHARED_MAX = 32
const isShared = (filter: string) => filter.startsWith('$share/')

export function createSubscribeHandler(parts: HandlerContext) {
  const { settings, events, table, store, output, retained } = parts

  function isRefused({ session }: Client, { filter, qos }: RequestedSubscription, isFull: boolean): boolean {
    if (!isFull && filter.length <= settings.topicBytesMax && session.rights.subscribe(filter)) return false
    events.denied('subscribe_denied', whoIs(session), filter)
    if (!isFull) events.rightDenied(session, { action: 'subscribe', topic: filter, qos, retain: false })
    return true
  }

  return (client: Client, packet: Subscribe): void => {
    const { session, state, version } = client
    if (state === null || isCut(session)) throw new PacketFault('no right to subscribe')
    for (const { filter } of packet.subscriptions)
      if (levelsOf(filter) > settings.topicLevelsMax) throw new PacketFault('filter has too many levels')
    const granted = new Map<string, Subscription>()
    const shown: [RequestedSubscription, Subscription][] = []
    let count = state.subscriptions.size
    let bytes = state.subscriptionBytes
    let shared = 0
    for (const filter of state.subscriptions.keys()) if (isShared(filter)) shared += 1
    const { subscriptionBytes } = parts.boundsOf(session.rights.isBackend === true)
    const answers = packet.subscriptions.map(asked => {
      const { filter, qos, noLocal, retainAsPublished } = asked
      const isKnown = state.subscriptions.has(filter) || granted.has(filter)
      const weight = isKnown ? 0 : weighFilter(filter)
      const isFull =
        !isKnown &&
        (count >= settings.subscriptionsMax ||
          bytes + weight > subscriptionBytes ||
          (isShared(filter) && shared >= SHARED_MAX))
      if (isRefused(client, asked, isFull)) return refusalCode(version, filter, isFull)
      const subscription = { filter, qos, noLocal, retainAsPublished, identifier: packet.identifier }
      if (!isKnown) count += 1
      if (!isKnown && isShared(filter)) shared += 1
      bytes += weight
      if (showsRetained(asked, isKnown)) shown.push([asked, subscription])
      granted.set(filter, subscription)
      return qos
    })
    let group: Promise<void> | null = null
    if (granted.size > 0) {
      table.subscribe(state, [...granted.values()])
      if (state.isKept) group = store.kept()
      for (const filter of granted.keys())
        events.subscriptionsChanged(whoIs(session), state.subscriptions, filter)
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
