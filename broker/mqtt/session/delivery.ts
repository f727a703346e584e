// How a message reaches one session: sent to its connection, put into its stored queue, or left out. Bounds and rights are asked
// here, for every message. The router decides the receivers.

import type { BrokerSettings } from '../../settings/validation.ts'
import type { Output } from '../connection/output.ts'
import type { EngineEvents } from '../engine-events.ts'
import { isExpired, type Message, type QoS, secondsLeft, weigh } from '../message.ts'
import type { SessionStore } from '../persistence/session-store.ts'
import { type EncodedPublish, encodePublish } from '../protocol/encode.ts'
import { ownMessage } from '../protocol/own-bytes.ts'
import type { Client, SessionState, SharedDelivery } from '../state.ts'
import type { Traffic } from '../traffic.ts'
import { inFlightOf, takeIdentifier } from './session-state.ts'

/** Unsent bytes may grow further for QoS 1 and 2, whose loss a client would notice; then the client goes. */
export const UNSENT_QOS_FACTOR = 2
/** Of one session that is not kept: messages beyond its window are in memory, where a queue is on disk. */
export const WAITING_BYTES_MAX = 262_144
/** Sent to a kept session and not acknowledged: beyond this the rest waits on disk, for packet identifiers end at 65,535. */
const IN_FLIGHT_MAX = 10_000

/** One message on its way to one session. `messageId` is 0 until it has one; `row` null where it is not stored. */
export type Delivery = {
  state: SessionState
  qos: QoS
  retain: boolean
  identifiers: readonly number[]
  shared: SharedDelivery | null
  messageId: number
  isStored: boolean
}

/** One encoding for all receivers of the same form. */
export type Encodings = (EncodedPublish | undefined)[]

export type DeliveryService = ReturnType<typeof createDelivery>

const NONE: readonly number[] = []

export function createDelivery(parts: {
  settings: BrokerSettings
  store: SessionStore
  output: Output
  traffic: Traffic
  events: Pick<EngineEvents, 'dropped' | 'storedSessionChanged'>
  now(): number
  /** Whether no queue is handed out any more. */
  isDraining(): boolean
  /** It does not read what it asked for: it is ended once this message has been routed. */
  endSlow(client: Client): void
}) {
  const { settings, store, output, traffic, events } = parts
  const { queue } = store
  const { outboundBytesMax } = settings

  function windowOf(state: SessionState): number {
    return Math.min(state.client?.receiveMaximum ?? 0, IN_FLIGHT_MAX) - (state.inFlight?.size ?? 0)
  }

  /** Whether its connection takes messages now. */
  function isOpen(client: Client | null): client is Client {
    return client !== null && client.phase === 'open' && client.session.ended === null
  }

  /**
   * Of QoS 1 and 2 to a kept session, before anybody gets the message: writes it into the queue, with a packet identifier where it
   * is sent at once. Throws where it cannot be written.
   */
  function store1(delivery: Delivery, message: Message): void {
    const { state, qos, retain, identifiers } = delivery
    const { client } = state
    const isHere = isOpen(client)
    if (isHere && !client.session.rights.receive(message.topic)) {
      delivery.isStored = true // as far as it ever will be
      return
    }
    const isDirect =
      isHere &&
      !state.isQueueing &&
      !parts.isDraining() &&
      windowOf(state) > 0 &&
      output.owedBytes(client) <= outboundBytesMax
    const messageId = isDirect ? takeIdentifier(state) : 0
    let row: number | null = null
    if (state.row !== null)
      row = queue.enqueue(state.row, message, { qos, retain, messageId: messageId || null, identifiers })
    delivery.isStored = true
    if (messageId > 0) {
      inFlightOf(state).set(messageId, {
        qos: qos as 1 | 2,
        released: false,
        row,
        bytes: weigh(message),
        shared: null,
      })
      delivery.messageId = messageId
    } else if (isHere)
      state.isQueueing = true // it takes no more now: what comes keeps its order behind this
    else events.storedSessionChanged(state.clientId)
  }

  /** Sends it, or has it wait or go; a message that is stored alone is not touched. Gives whether it was sent. */
  function send(
    delivery: Delivery,
    message: Message,
    group: Promise<void> | null,
    encodings: Encodings,
  ): boolean {
    const { state, qos, identifiers, shared } = delivery
    const { client } = state
    if (delivery.isStored) {
      if (delivery.messageId === 0 || client === null) return false
      return write(client, delivery, message, group, encodings)
    }
    if (!isOpen(client) || !client.session.rights.receive(message.topic)) return false
    if (qos === 0) {
      if (output.unsentBytes(client) <= outboundBytesMax)
        return write(client, delivery, message, null, encodings)
      events.dropped('outbound', client.session.identity.deviceId)
      return false
    }
    if ((state.waiting !== null && state.waiting.length > 0) || windowOf(state) <= 0 || parts.isDraining()) {
      wait(state, { message, qos, retain: delivery.retain, identifiers, shared })
      return false
    }
    delivery.messageId = takeIdentifier(state)
    inFlightOf(state).set(delivery.messageId, {
      qos,
      released: false,
      row: null,
      bytes: weigh(message),
      shared,
    })
    return write(client, delivery, message, null, encodings)
  }

  function wait(state: SessionState, waiting: NonNullable<SessionState['waiting']>[number]): void {
    state.waiting ??= []
    const bytes = weigh(waiting.message)
    while (
      state.waiting.length > 0 &&
      (state.waiting.length >= settings.offlineMessagesMax || state.waitingBytes + bytes > WAITING_BYTES_MAX)
    ) {
      state.waitingBytes -= weigh(state.waiting.shift()!.message)
      events.dropped('outbound', state.clientId)
    }
    state.waiting.push({ ...waiting, message: ownMessage(waiting.message) })
    state.waitingBytes += bytes
  }

  function write(
    client: Client,
    { qos, retain, identifiers, messageId, state }: Delivery,
    message: Message,
    group: Promise<void> | null,
    encodings: Encodings,
  ): boolean {
    const encoded = encodingFor(client, message, qos, retain, identifiers, false, encodings)
    if (encoded === null) {
      // Acknowledged on its behalf [MQTT-3.1.2-25].
      if (messageId > 0) forget(state, messageId)
      events.dropped('too_large', client.session.identity.deviceId)
      return false
    }
    // An alias is told by the first message that has it: none goes before it.
    if (group !== null || qos > 0 || client.aliasesGiven !== null)
      output.sendAfter(client, group, encoded.bytes, encoded.identifierAt, messageId)
    else output.send(client, encoded.bytes)
    sent(message)
    if (output.unsentBytes(client) > outboundBytesMax * UNSENT_QOS_FACTOR) parts.endSlow(client)
    return true
  }

  function sent({ payload }: Message): void {
    traffic.messagesSent += 1
    traffic.payloadBytesSent += payload.length
  }

  /** Null where the packet would be larger than the client takes. */
  function encodingFor(
    client: Client,
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[],
    dup: boolean,
    encodings: Encodings,
  ): EncodedPublish | null {
    const { version } = client
    // No alias at QoS 2: MQTT.js 5 keeps such a message without its topic until PUBREL.
    const isAliased = client.aliasesGiven !== null && qos < 2
    const own = version === 5 && (identifiers.length > 0 || isAliased)
    const form = (version === 5 ? 1 : 0) | (qos << 1) | (retain ? 8 : 0) | (dup ? 16 : 0)
    let encoded = own ? undefined : encodings[form]
    if (encoded === undefined) {
      const known = client.aliasesGiven?.size ?? 0
      const { alias, topic } = isAliased
        ? aliasFor(client, message.topic)
        : { alias: 0, topic: message.topic }
      const isNew = (client.aliasesGiven?.size ?? 0) > known
      const expirySeconds = message.expiresAt === null ? null : secondsLeft(message.expiresAt, parts.now())
      encoded = encodePublish(message, {
        version,
        qos,
        retain,
        dup,
        expirySeconds,
        subscriptionIdentifiers: version === 5 ? identifiers : NONE,
        topicAlias: alias,
        topic,
      })
      if (!own) encodings[form] = encoded
      if (isNew && encoded.bytes.length > client.packetBytesMax) client.aliasesGiven?.delete(message.topic)
    }
    return encoded.bytes.length > client.packetBytesMax ? null : encoded
  }

  /** A topic is given an alias when it is first sent, as long as the client takes more (§3.3.2.3.4). */
  function aliasFor(client: Client, topic: string): { alias: number; topic: string } {
    const given = client.aliasesGiven
    if (given === null) return { alias: 0, topic }
    const known = given.get(topic)
    if (known !== undefined) return { alias: known, topic: '' }
    if (given.size >= client.aliasMaximum) return { alias: 0, topic }
    given.set(topic, given.size + 1)
    return { alias: given.size, topic }
  }

  /** It was acknowledged, or may not be sent: struck out of window and queue. */
  function forget(state: SessionState, messageId: number): void {
    const entry = state.inFlight?.get(messageId)
    if (entry === undefined) return
    state.inFlight!.delete(messageId)
    if (entry.row !== null && state.row !== null) queue.strikeOut(state.row, entry.row, entry.bytes)
  }

  /** Its window has room again: what waited in memory is sent. */
  function sendWaiting(state: SessionState): void {
    const { waiting, client } = state
    while (
      waiting !== null &&
      waiting.length > 0 &&
      windowOf(state) > 0 &&
      isOpen(client) &&
      !parts.isDraining()
    ) {
      const { message, qos, retain, identifiers, shared } = waiting.shift()!
      state.waitingBytes -= weigh(message)
      if (isExpired(message, parts.now()) || !client.session.rights.receive(message.topic)) continue
      const messageId = takeIdentifier(state)
      inFlightOf(state).set(messageId, { qos, released: false, row: null, bytes: weigh(message), shared })
      write(
        client,
        { state, qos, retain, identifiers, shared, messageId, isStored: false },
        message,
        null,
        [],
      )
    }
  }

  return { store: store1, send, forget, sendWaiting, encodingFor, sent, windowOf, isOpen }
}
