// CONNECT (MQTT 5 §3.1): judged by the identity the gate admitted, takes over an older connection of its session, begins or resumes
// the session, and is answered once what that promises is on disk.
import { decideConnect } from '../../../admission/connect.ts'
import { type Reason, reasons } from '../../../db/reason.ts'
import type { Client, Will } from '../connection/client.ts'
import { startKeepAlive } from '../connection/keep-alive.ts'
import { holderOf, markReplaced, whoIs } from '../connection/sessions.ts'
import { encodeConnack, refusingConnack3 } from '../protocol/encode.ts'
import type { Connect, Version } from '../protocol/packets.ts'
import type { SessionState } from '../session/session-state.ts'
import type { HandlerParts } from './parts.ts'

/** Characters of a username that operators are shown. */
const USERNAME_SHOWN_MAX = 128

export function createConnectHandler(parts: HandlerParts) {
  const { events, table, store, sessions, output, input, closing, wills, leavings, handOut } = parts

  function refuse(client: Client, reason: Reason): void {
    const { session } = client
    session.ended = reason
    events.refused(reason, whoIs(session))
    const { seen } = reasons[reason]
    const last = refusingConnack3(typeof seen === 'number' ? seen : 5)
    closing.close(client, { transport: 'in order', will: false, last })
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
    const { will } = packet
    if (will === null) return null
    const isBounded = levelsOf(will.topic) <= parts.settings.topicLevelsMax
    return isBounded && session.rights.will(will.topic, will.qos, will.retain) ? null : 'will_denied'
  }

  /** [MQTT-3.1.4-3]: an older connection of the same session ends. */
  function takeOver(client: Client): void {
    const { deviceId } = client.session.identity
    for (const other of sessions.ofDevice(deviceId))
      if (other !== client.session && other.connected)
        events.takenOver(whoIs(markReplaced(other)), whoIs(client.session))
    const before = table.get(deviceId)?.client
    if (before != null) closing.close(before, { transport: 'in order', will: true, last: null })
  }

  /** The session it gets, and what CONNACK waits for; `isPresent` once that is over. */
  function attach(
    client: Client,
    packet: Connect,
  ): { state: SessionState; waits: Promise<void> | null; isPresent(): boolean } {
    const { deviceId } = client.session.identity
    const isKept = !packet.clean
    const found = table.get(deviceId)
    if (found !== undefined && !packet.clean && (found.row !== null || found.storing !== null)) {
      return { state: take(found, client), waits: found.storing, isPresent: () => found.row !== null }
    }
    const hadLeft = (found?.row ?? null) !== null || store.hasIncoming(deviceId) || store.hasWill(deviceId)
    if (found !== undefined) table.end(found)
    store.forgetIncoming(deviceId)
    wills.forget(deviceId)
    const state = take(table.create(deviceId, isKept, null), client)
    if (!isKept) return { state, waits: hadLeft ? store.kept() : null, isPresent: () => false } // [MQTT-3.1.2-4]
    leavings.keepsSession(holderOf(client.session))
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

  function accept(client: Client, state: SessionState, isPresent: boolean, keepAliveSeconds: number): void {
    const { session } = client
    startKeepAlive(client, keepAliveSeconds, late => parts.fail(late, new Error('keep alive timeout')))
    output.send(client, encodeConnack(client.version, isPresent))
    output.flush(client) // its handshake is over, whatever else this turn brings
    client.phase = 'open'
    parts.ready(client)
    if (!state.isKept || client.state !== state) return
    // It may have come with less than it was subscribed to.
    const denied = [...state.subscriptions.keys()].filter(filter => !session.rights.subscribe(filter))
    for (const filter of denied) events.denied('subscribe_denied', whoIs(session), filter)
    table.unsubscribe(state, denied)
    handOut.resume(state)
  }

  return (client: Client, packet: Connect): void => {
    parts.traffic.connects += 1
    const { session } = client
    if (session.ended !== null) {
      closing.close(client, { transport: 'destroyed', will: false, last: null })
      return
    }
    const refusal = refusalOf(client, packet)
    if (refusal !== null) {
      refuse(client, refusal)
      return
    }
    client.phase = 'connecting'
    client.version = packet.version as Version
    session.connect = {
      clientId: session.identity.deviceId,
      at: 0,
      protocolLevel: packet.version,
      keepAliveSeconds: packet.keepAliveSeconds,
      clean: packet.clean,
      ...(packet.username !== undefined && { username: packet.username.slice(0, USERNAME_SHOWN_MAX) }),
    }
    takeOver(client)
    const { state, waits, isPresent } = attach(client, packet)
    const will = willOf(packet, session.identity.deviceId)
    if (will !== null) wills.put(client, will)
    // CONNACK of a session that stays waits for its will, but does not depend on it.
    const all = will !== null && state.isKept ? store.kept() : waits
    if (all === null) {
      accept(client, state, isPresent(), packet.keepAliveSeconds)
      return
    }
    input.hold(client) // what comes behind CONNECT waits
    const goOn = () => {
      if (client.phase === 'connecting') accept(client, state, isPresent(), packet.keepAliveSeconds)
      input.release(client)
    }
    Promise.allSettled([waits, all]).then(goOn)
  }
}

function willOf({ will }: Connect, publisher: string): Will | null {
  if (will === null) return null
  const { topic, payload, qos, retain, properties } = will
  return {
    message: { topic, payload, qos, retain, publisher, properties: properties.travelling },
    expirySeconds: properties.numbers.get(0x02) ?? null,
    delaySeconds: properties.numbers.get(0x18) ?? 0,
  }
}

/** How many levels a topic or filter has. */
export function levelsOf(topic: string): number {
  let levels = 1
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) levels += 1
  return levels
}
