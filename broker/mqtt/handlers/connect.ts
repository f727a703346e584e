// CONNECT (MQTT 5 §3.1): judged by the identity the gate admitted, takes over an older connection of its session, begins or resumes
// the session, and is answered once what that promises is on disk.

import { isUtf8 } from 'node:buffer'
import { decideConnect } from '../../../admission/client-id.ts'
import { type Reason, reasons } from '../../../db/reason.ts'
import { reasonString, v5Codes } from '../../../db/reason-v5.ts'
import { protocolNames } from '../../../db/roll/live-sessions.ts'
import { TOPIC_ALIASES_MAX } from '../connection/client.ts'
import { startKeepAlive } from '../connection/keep-alive.ts'
import { type Redirect, redirectCode, redirectingConnack } from '../connection/redirect.ts'
import { markReplaced, peerInfoOf, placeOf, principalOf } from '../connection/sessions.ts'
import { encodeConnack, encodeDisconnect, refusingConnack3, refusingConnack5 } from '../protocol/encode.ts'
import { ownMessage } from '../protocol/own-bytes.ts'
import type { Connect, Version } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client, SessionState, Will } from '../state.ts'
import { connackProperties } from './connack-properties.ts'
import type { HandlerContext } from './handler-context.ts'
import { codeBeyond, levelsOf } from './publish-bounds.ts'
import { SESSION_EXPIRY, sessionExpiry } from './session-expiry.ts'

const SERVER_UNAVAILABLE = 3 // of 3.1.1 (§3.2.2.3)
const PAYLOAD_FORMAT = 0x01
const AUTHENTICATION_METHOD = 0x15

/** Characters of a username that operators are shown. */
const USERNAME_SHOWN_MAX = 128

export function createConnectHandler(parts: HandlerContext) {
  const { events, table, store, sessions, output, input, closing, wills, storedState, queueReplay } = parts

  function refuse(client: Client, reason: Reason, will: Connect['will']): void {
    const { session } = client
    session.ended = reason
    const code = client.version === 5 ? connackCodeOf(client, reason, will) : null
    events.refused(reason, peerInfoOf(session), undefined, code)
    if (reason === 'will_denied' && will !== null) {
      const { topic, qos, retain } = will
      events.rightDenied(session, { action: 'will', topic, qos, retain })
    }
    closing.close(client, { transport: 'in order', will: false, last: refusal(client, reason, code) })
  }

  function refusalOf({ session }: Client, packet: Connect): Reason | null {
    const decision = decideConnect(
      {
        protocolVersion: packet.version,
        clientId: packet.clientId,
        clean: packet.clean,
        username: packet.username,
        hasPassword: packet.hasPassword,
      },
      session.identity.deviceId,
      parts.settings.usernames,
    )
    if (!decision.accepted) return decision.reason
    if (packet.properties.has(AUTHENTICATION_METHOD)) return 'authentication_unsupported' // [MQTT-4.12.0-1]
    const { will } = packet
    if (will === null) return null
    const isBounded = levelsOf(will.topic) <= parts.settings.topicLevelsMax
    if (packet.version === 5 && will.properties.numbers.get(PAYLOAD_FORMAT) === 1 && !isUtf8(will.payload))
      return 'payload_format_invalid'
    return isBounded && session.rights.will(will.topic, will.qos, will.retain) ? null : 'will_denied'
  }

  /** Seconds that the session outlives its connection; null for no end. */
  function expiryOf({ session, sessionExpiryAsked }: Client, packet: Connect): number | null {
    if (packet.version === 5) return sessionExpiry(sessionExpiryAsked, parts.settings, session.rights)
    return packet.clean ? 0 : sessionExpiry(null, parts.settings, session.rights)
  }

  /** The server's own keep-alive holds where the client has none, or a longer one (§3.2.2.3.14). */
  function keepAliveOf({ version, keepAliveSeconds }: Connect): number {
    const { serverKeepAliveSeconds: own } = parts.settings
    return version === 5 && own > 0 && (keepAliveSeconds === 0 || keepAliveSeconds > own)
      ? own
      : keepAliveSeconds
  }

  /** [MQTT-3.1.4-3]: an older connection of the same session ends. */
  function takeOver(client: Client): void {
    const { deviceId } = client.session.identity
    for (const other of sessions.ofDevice(deviceId))
      if (other !== client.session && other.connected)
        events.takenOver(peerInfoOf(markReplaced(other)), peerInfoOf(client.session))
    const before = table.get(deviceId)?.client
    if (before == null) return
    const last = before.version === 5 ? encodeDisconnect(codes.sessionTakenOver) : null
    closing.close(before, { transport: 'in order', will: true, last })
  }

  /** The session it gets, and what CONNACK waits for; `isPresent` once that is over. */
  function attach(
    client: Client,
    packet: Connect,
  ): { state: SessionState; waits: Promise<void> | null; isPresent(): boolean } {
    const { deviceId } = client.session.identity
    const expirySeconds = expiryOf(client, packet)
    const isKept = expirySeconds !== 0
    let found = table.get(deviceId)
    if (found !== undefined && table.isExpired(found)) {
      parts.expiry.expire(found)
      found = undefined
    }
    if (found !== undefined && !packet.clean && (found.row !== null || found.storing !== null)) {
      const state = found
      client.isResumed = true
      parts.expiry.clientReturned(deviceId)
      table.resume(state, expirySeconds)
      return { state: take(state, client), waits: state.storing, isPresent: () => state.row !== null }
    }
    const hadLeft = (found?.row ?? null) !== null || store.hasIncoming(deviceId) || store.hasWill(deviceId)
    if (found !== undefined) parts.expiry.endSession(found)
    store.forgetIncoming(deviceId)
    wills.forget(deviceId)
    const state = take(table.create(deviceId, isKept, isKept ? expirySeconds : null), client)
    if (!isKept) return { state, waits: hadLeft ? store.kept() : null, isPresent: () => false } // [MQTT-3.1.2-4]
    storedState.keepsSession(principalOf(client.session))
    try {
      // It exists from CONNACK on, empty or not. It does not depend on the disk: where nothing can be written the device is inside,
      // with a session that its next SUBSCRIBE or QoS 2 has to begin.
      store.addSession(state)
    } catch {}
    return { state, waits: state.storing, isPresent: () => false }
  }

  function take(state: SessionState, client: Client): SessionState {
    state.client = client
    state.isQueueing = state.isKept // nothing comes before CONNACK [MQTT-3.2.0-1]
    client.state = state
    client.session.filters = state.subscriptions
    return state
  }

  function accept(client: Client, state: SessionState, isPresent: boolean, packet: Connect): void {
    const { session, version } = client
    const keepAliveSeconds = keepAliveOf(packet)
    startKeepAlive(client, keepAliveSeconds, late => parts.fail(late, new Error('keep alive timeout')))
    const properties =
      version === 5 ? connackProperties(client, state, packet, keepAliveSeconds, parts.settings) : undefined
    output.send(client, encodeConnack(version, isPresent, properties))
    output.flush(client) // its handshake is over, whatever else this turn brings
    client.phase = 'open'
    parts.ready(client)
    if (!state.isKept || client.state !== state) return
    // It may have come with less than it was subscribed to.
    const denied = [...state.subscriptions.keys()].filter(filter => !session.rights.subscribe(filter))
    for (const filter of denied) {
      events.denied('subscribe_denied', peerInfoOf(session), filter)
      const { qos } = state.subscriptions.get(filter)!
      events.rightDenied(session, { action: 'subscribe', topic: filter, qos, retain: false })
    }
    table.unsubscribe(state, denied)
    queueReplay.resume(state)
  }

  return (client: Client, packet: Connect): void => {
    parts.traffic.connects += 1
    const { session } = client
    if (session.ended !== null) {
      closing.close(client, { transport: 'destroyed', will: false, last: null })
      return
    }
    if (isVersion(packet.version)) session.protocolLevel = packet.version
    if (packet.version === 5) agreeOn(client, packet)
    const reason = refusalOf(client, packet)
    if (reason !== null) {
      refuse(client, reason, packet.will)
      return
    }
    client.version = packet.version as Version
    if (parts.redirect.to !== null) {
      sendAway(client, parts.redirect.to)
      return
    }
    client.phase = 'connecting'
    session.connect = {
      clientId: session.identity.deviceId,
      at: 0,
      protocolLevel: packet.version,
      keepAliveSeconds: packet.keepAliveSeconds,
      clean: packet.clean,
      ...(packet.username !== undefined && { username: packet.username.slice(0, USERNAME_SHOWN_MAX) }),
    }
    const owning = parts.cluster?.own(session.identity.deviceId, placeOf(session)) ?? null
    if (owning === null) {
      begin(client, packet)
      return
    }
    input.hold(client)
    const goOn = (work: () => void) => {
      if (client.phase === 'connecting' && session.ended === null)
        try {
          work()
        } catch (error) {
          parts.fail(client, error as Error)
        }
      input.release(client)
    }
    owning.then(
      () => goOn(() => begin(client, packet)),
      error => {
        events.engineFailed(error)
        goOn(() => tellUnavailable(client))
      },
    )
  }

  /** Another node has its session and does not hand it over now: it may try again. */
  function tellUnavailable(client: Client): void {
    const { session, version } = client
    session.ended = 'registry_unavailable'
    events.refused('registry_unavailable', peerInfoOf(session))
    const last =
      version === 5 ? refusingConnack5(codes.serverUnavailable) : refusingConnack3(SERVER_UNAVAILABLE)
    closing.close(client, { transport: 'in order', will: false, last })
  }

  /** An operator has drained this node. */
  function sendAway(client: Client, redirect: Redirect): void {
    const { session, version } = client
    session.ended = 'node_drained'
    events.refused(
      'node_drained',
      peerInfoOf(session),
      undefined,
      version === 5 ? redirectCode(redirect) : null,
    )
    closing.close(client, { transport: 'in order', will: false, last: redirectingConnack(client, redirect) })
  }

  /** The session is this node's. */
  function begin(client: Client, packet: Connect): void {
    const { session } = client
    takeOver(client)
    const { state, waits, isPresent } = attach(client, packet)
    const will = willOf(packet, session.identity.deviceId)
    if (will !== null) wills.put(client, will)
    // CONNACK of a session that stays waits for its will, but does not depend on it.
    const all = will !== null && state.isKept ? store.kept() : waits
    if (all === null) {
      accept(client, state, isPresent(), packet)
      return
    }
    input.hold(client) // what comes behind CONNECT waits
    const goOn = () => {
      if (client.phase === 'connecting') accept(client, state, isPresent(), packet)
      input.release(client)
    }
    Promise.allSettled([waits, all]).then(goOn)
  }
}

/** What CONNECT of version 5 says of its connection (§3.1.2.11). */
function agreeOn(client: Client, { properties }: Connect): void {
  client.version = 5
  client.sessionExpiryAsked = properties.numbers.get(SESSION_EXPIRY) ?? 0
  client.announced = client.session.rights.limits ?? client.announced
  client.receiveMaximum = properties.numbers.get(0x21) ?? 65_535
  client.packetBytesMax = properties.numbers.get(0x27) ?? Number.POSITIVE_INFINITY
  client.noProblemInformation = properties.numbers.get(0x17) === 0
  client.aliasMaximum = Math.min(properties.numbers.get(0x22) ?? 0, TOPIC_ALIASES_MAX)
  if (client.aliasMaximum > 0) client.aliasesGiven = new Map()
}

function isVersion(level: number): level is Version {
  return Object.hasOwn(protocolNames, level)
}

function connackCodeOf({ announced }: Client, reason: Reason, will: Connect['will']): number | null {
  const isLimit = reason === 'will_denied' && will !== null
  const beyond = isLimit ? codeBeyond(announced, will.qos, will.retain) : null // [MQTT-3.2.2-12] [MQTT-3.2.2-13]
  return beyond ?? v5Codes[reason].connack
}

function refusal({ version }: Client, reason: Reason, code: number | null): Buffer | null {
  if (version === 5) return code === null ? null : refusingConnack5(code, reasonString(reason))
  const { seen } = reasons[reason]
  return refusingConnack3(typeof seen === 'number' ? seen : 5)
}

function willOf({ will }: Connect, publisher: string): Will | null {
  if (will === null) return null
  const { topic, payload, qos, retain, properties } = will
  return {
    message: ownMessage({ topic, payload, qos, retain, publisher, properties: properties.travelling }),
    expirySeconds: properties.numbers.get(0x02) ?? null,
    delaySeconds: properties.numbers.get(0x18) ?? 0,
  }
}
