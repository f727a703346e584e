// PUBLISH (MQTT 5 §3.3): judged by the rights of its session, routed, and acknowledged once it is on disk for every stored session that
// is to get it.
import type { Client } from '../connection/client.ts'
import { holderOf, isCut, whoIs } from '../connection/sessions.ts'
import type { Message } from '../message.ts'
import { QuotaExceeded } from '../persistence/quota-exceeded.ts'
import { PacketFault } from '../protocol/byte-reader.ts'
import { encodeAcknowledgement } from '../protocol/encode.ts'
import type { Publish } from '../protocol/packets.ts'
import type { Published } from '../routing/router.ts'
import { levelsOf } from './connect.ts'
import type { HandlerParts } from './parts.ts'

/** A PUBLISH that may not be, of a version that cannot be told. */
export class PublishDenied extends Error {}

export function createPublishHandler(parts: HandlerParts) {
  const { settings, events, traffic, store, output, router, leavings } = parts

  return (client: Client, packet: Publish): void => {
    const { session, state } = client
    const { topic, payload, qos, retain, messageId } = packet
    if (parts.isDraining() && qos > 0) return // its device has it still
    if (state === null || isCut(session)) throw new PublishDenied('no right to publish')
    traffic.messagesReceived += 1
    traffic.payloadBytesReceived += payload.length
    if (topic === '') throw new PacketFault('an empty topic') // [MQTT-4.7.3-1]
    if (levelsOf(topic) > settings.topicLevelsMax) throw new PacketFault('topic has too many levels')
    if (topic.length > settings.topicBytesMax || !session.rights.publish(topic, qos, retain)) {
      events.denied('publish_denied', whoIs(session), topic)
      throw new PublishDenied('publish_denied')
    }
    if (qos === 2 && state.incoming?.has(messageId)) {
      // It was passed on already [MQTT-4.3.3-10].
      output.sendAfter(client, null, encodeAcknowledgement('pubrec', client.version, messageId))
      return
    }
    if (retain) leavings.retains(holderOf(session), session.rights.isBackend === true)
    events.messageReceived()
    const message: Message = {
      topic,
      payload,
      qos,
      retain,
      publisher: state.clientId,
      properties: packet.properties.travelling,
      expiresAt: null,
      sequence: parts.nextSequence(),
    }
    if (qos === 2) beginExactlyOnce(client, messageId)
    const { group } = publish(client, message, messageId)
    if (qos === 1) output.sendAfter(client, group, encodeAcknowledgement('puback', client.version, messageId))
    if (qos === 2) {
      // Both in one group: it is known to have come, and it is queued.
      const known = state.isKept ? store.kept() : group
      output.sendAfter(client, known, encodeAcknowledgement('pubrec', client.version, messageId))
    }
    if (qos > 0) output.takeInHand(client, payload.length)
  }

  /** A message that could not be routed was not received: the same one again is new. */
  function publish(client: Client, message: Message, messageId: number): Published {
    try {
      return router.publish(message, client)
    } catch (error) {
      if (message.qos === 2 && client.state?.incoming?.delete(messageId) === true)
        store.finishIncoming(client.state.clientId, messageId)
      throw error
    }
  }

  function beginExactlyOnce(client: Client, messageId: number): void {
    const { state } = client
    if (state === null) return
    state.incoming ??= new Set()
    if (state.incoming.size >= settings.inflightInboundMax)
      throw new QuotaExceeded(`${settings.inflightInboundMax} messages of QoS 2 wait for PUBREL already`)
    if (state.isKept) store.beginIncoming(state, messageId)
    state.incoming.add(messageId)
  }
}
