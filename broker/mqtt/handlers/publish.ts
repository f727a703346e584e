// PUBLISH (MQTT 5 §3.3): judged by the rights of its session, routed, and acknowledged once it is on disk for every stored session that
// is to get it.

import { isUtf8 } from 'node:buffer'
import type { Reason } from '../../../db/reason.ts'
import { reasonString, v5Codes } from '../../../db/reason-v5.ts'
import { TOPIC_ALIASES_MAX } from '../connection/client.ts'
import { isCut, peerInfoOf, principalOf } from '../connection/sessions.ts'
import type { Message } from '../message.ts'
import { QuotaExceeded } from '../persistence/quota-exceeded.ts'
import { PacketFault } from '../protocol/byte-reader.ts'
import { acknowledgementFor, encodeAcknowledgement } from '../protocol/encode.ts'
import { isLonger } from '../protocol/octets.ts'
import type { Publish } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Published } from '../routing/router.ts'
import type { Client, Piece, SessionState } from '../state.ts'
import type { HandlerContext } from './handler-context.ts'
import { codeBeyond, levelsOf } from './publish-bounds.ts'

const PAYLOAD_FORMAT = 0x01
const MESSAGE_EXPIRY = 0x02
const TOPIC_ALIAS = 0x23
const TIMED_ONE_OF = 16

/** A PUBLISH that may not be, of a version that cannot be told. */
export class PublishDenied extends Error {}

export function createPublishHandler(parts: HandlerContext) {
  const { settings, events, traffic, store, output, router, storedState } = parts
  let untilTimed = 1

  return (client: Client, packet: Publish): void => {
    const { session, state } = client
    const { payload, qos, retain, messageId, properties } = packet
    if (parts.isDraining() && qos > 0) return // its device has it still
    if (state === null || isCut(session)) throw new PublishDenied('no right to publish')
    traffic.messagesReceived += 1
    traffic.payloadBytesReceived += payload.length
    const topic = topicOf(client, packet)
    if (topic === '') throw new PacketFault('an empty topic', codes.topicNameInvalid) // [MQTT-4.7.3-1]
    if (levelsOf(topic) > settings.topicLevelsMax)
      throw new PacketFault('topic has too many levels', codes.topicNameInvalid)
    const beyond = codeBeyond(client.announced, qos, retain)
    if (beyond !== null) {
      events.denied('publish_denied', peerInfoOf(session), topic)
      events.rightDenied(session, { action: 'publish', topic, qos, retain })
      throw new PacketFault('it is beyond what CONNACK announced', beyond)
    }
    if (isLonger(topic, settings.topicBytesMax) || !session.rights.publish(topic, qos, retain)) {
      events.denied('publish_denied', peerInfoOf(session), topic)
      events.rightDenied(session, { action: 'publish', topic, qos, retain })
      refuse(client, packet, 'publish_denied', new PublishDenied('publish_denied'))
      return
    }
    if (qos === 2 && state.incoming?.has(messageId)) {
      // It was passed on already [MQTT-4.3.3-10].
      output.sendAfter(client, null, encodeAcknowledgement('pubrec', client.version, messageId))
      return
    }
    if (properties.numbers.get(PAYLOAD_FORMAT) === 1 && !isUtf8(payload)) {
      events.denied('payload_format_invalid', peerInfoOf(session), topic)
      refuse(client, packet, 'payload_format_invalid', new PacketFault('the payload is not UTF-8'))
      return
    }
    if (retain) storedState.retains(principalOf(session), session.rights.isBackend === true)
    traffic.messagesAccepted += 1
    const expiry = properties.numbers.get(MESSAGE_EXPIRY)
    const message: Message = {
      topic,
      payload,
      qos,
      retain,
      publisher: state.clientId,
      properties: properties.travelling,
      expiresAt: expiry === undefined ? null : parts.now() + expiry * 1_000,
      sequence: parts.nextSequence(),
    }
    try {
      pass(client, state, message, messageId)
    } catch (error) {
      if (!(error instanceof QuotaExceeded) || client.version < 5) throw error
      events.denied(error.reason, peerInfoOf(session), topic)
      refuse(client, packet, error.reason, error)
    }
  }

  function pass(client: Client, state: SessionState, message: Message, messageId: number): void {
    const { qos, payload } = message
    if (qos > 0) untilTimed -= 1
    const began = qos > 0 && untilTimed <= 0 ? performance.now() : null
    if (qos === 2) beginExactlyOnce(state, messageId)
    const { group, receivers, isForOthers } = publish(client, message, messageId)
    if (qos === 0) return
    const isForNobody = receivers === 0 && !isForOthers
    const code = isForNobody && client.version === 5 ? codes.noMatchingSubscribers : codes.success
    // Of QoS 2 both in one group: it is known to have come, and it is queued.
    const known = qos === 2 && state.isKept ? store.kept() : group
    const cmd = qos === 1 ? 'puback' : 'pubrec'
    const bytes = encodeAcknowledgement(cmd, client.version, messageId, code)
    const waiting = output.sendAfter(client, known, bytes)
    if (parts.cluster !== null)
      store.ifRefused(message.sequence, error =>
        unstorable(client, state, message, messageId, waiting, error),
      )
    output.takeInHand(client, payload.length)
    if (began !== null) timeAcknowledgement(client, began)
  }

  /** All that came with it is stored, this is not: its publisher is told in place of an acknowledgement, or loses its connection. */
  function unstorable(
    client: Client,
    state: SessionState,
    { topic, qos }: Message,
    messageId: number,
    waiting: Piece,
    error: Error,
  ): void {
    if (qos === 2 && state.incoming?.delete(messageId) === true)
      store.finishIncoming(state.clientId, messageId) // sent again, it is new
    events.denied('message_unstorable', peerInfoOf(client.session), topic)
    if (client.version < 5) parts.fail(client, error)
    else waiting.bytes = refusalOf(client, { qos, messageId }, 'message_unstorable')
  }

  /** It is handed to the connection at once, or with the group that it waits for. */
  function timeAcknowledgement(client: Client, began: number): void {
    const told = () => events.publishAcknowledged(performance.now() - began)
    const group = client.batches.at(-1)?.group ?? null
    untilTimed = TIMED_ONE_OF
    if (group === null) told()
    else group.then(told, () => {}) // what was not stored is not acknowledged
  }

  /** Version 5 is told and stays; before it there is no answer but the end of the connection. */
  function refuse(client: Client, packet: Publish, reason: Reason, error: Error): void {
    if (client.version < 5 || v5Codes[reason].ack === null) throw error
    if (packet.qos === 0) return // dropped, and counted where it was judged
    output.sendAfter(client, null, refusalOf(client, packet, reason))
  }

  function refusalOf(
    client: Client,
    { qos, messageId }: Pick<Publish, 'qos' | 'messageId'>,
    reason: Reason,
  ): Buffer {
    const code = v5Codes[reason].ack ?? codes.implementationSpecificError
    const text = client.noProblemInformation ? undefined : reasonString(reason)
    return acknowledgementFor(client, qos === 1 ? 'puback' : 'pubrec', messageId, code, text)
  }

  /** A topic that has an alias need not be told again (§3.3.2.3.4). */
  function topicOf(client: Client, { topic, properties }: Publish): string {
    const alias = properties.numbers.get(TOPIC_ALIAS)
    if (alias === undefined) return topic
    if (alias === 0 || alias > TOPIC_ALIASES_MAX)
      throw new PacketFault('no such topic alias', codes.topicAliasInvalid) // [MQTT-3.3.2-8] [MQTT-3.3.2-9]
    if (topic !== '') {
      if (isLonger(topic, settings.topicBytesMax)) return topic
      client.aliases ??= new Map()
      client.aliases.set(alias, topic)
      return topic
    }
    const known = client.aliases?.get(alias)
    if (known === undefined) throw new PacketFault('the topic alias stands for nothing', codes.protocolError)
    return known
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

  function beginExactlyOnce(state: SessionState, messageId: number): void {
    state.incoming ??= new Set()
    if (state.incoming.size >= settings.inflightInboundMax)
      throw new QuotaExceeded(`${settings.inflightInboundMax} messages of QoS 2 wait for PUBREL already`)
    if (state.isKept) store.beginIncoming(state, messageId)
    state.incoming.add(messageId)
  }
}
