// What aedes asks on the way of every packet: may this CONNECT, publish, subscription or delivery be.
// Answers from the session's rights alone; a client without a session has none.
import type { AedesOptions, AedesPublishPacket, ConnectPacket, Subscription } from 'aedes'
import { decideConnect } from '../../admission/connect.ts'
import { type Reason, reasons } from '../../db/reason.ts'
import type { QoS } from '../../policy/rights.ts'
import type { BrokerSettings } from '../config.ts'
import type { Acknowledgement } from './acknowledgement.ts'
import type { Inside, Will } from './aedes-client.ts'
import type { DeviceBounds } from './device-bounds.ts'
import { NO_SUBSCRIPTION } from './durable/stored-state.ts'
import type { AcceptFresh } from './fresh-connect.ts'
import { grant, weighFilter } from './granted-qos.ts'
import type { EngineEvents } from './interface.ts'
import type { Retaining } from './retaining.ts'
import { type AcceptedConnect, holderOf, isCut, type Session, whoIs } from './sessions.ts'
import type { Traffic } from './traffic.ts'

/** Unsent bytes may grow further for QoS 1 and 2, whose loss a client would notice; then the client goes. */
export const UNSENT_QOS_FACTOR = 2

/** Characters of a username that operators are shown. */
const USERNAME_SHOWN_MAX = 128

export type Hooks = Required<
  Pick<
    AedesOptions,
    | 'preConnect'
    | 'authenticate'
    | 'authorizePublish'
    | 'authorizeSubscribe'
    | 'authorizeForward'
    | 'published'
  >
>

export function createHooks(parts: {
  settings: BrokerSettings
  events: EngineEvents
  traffic: Traffic
  acceptFresh: AcceptFresh
  publishFirst: Acknowledgement['publishFirst']
  published: Acknowledgement['published']
  /** A session is about to connect; whoever else the device has inside will be closed. */
  arriving(session: Session): void
  retaining: Retaining
  boundsOf(isBackend: boolean): DeviceBounds
  /** A shared subscription was granted. */
  sharing(client: Inside, session: Session, subscription: Subscription): void
  /** Whether a retained message is still the one of its topic. */
  isNewest(packet: AedesPublishPacket): boolean
  /** This message may not be forwarded to whom it was meant for. */
  denied(packet: object): void
  /** Ends a client that does not read what it asked for. */
  endSlow(client: Inside): void
}): Hooks {
  const { settings, events, traffic, acceptFresh } = parts
  return {
    preConnect(client, packet, done) {
      traffic.connects += 1
      const session = (client as Inside).session
      if (session === undefined || session.ended !== null) return done(null, false)
      const decision = decideConnect(asRequest(packet), session.identity.deviceId, settings.usernames)
      // aedes assigns a random ID to an empty one; ours is the device's.
      if (decision.accepted) packet.clientId = decision.clientId
      const refusal = decision.accepted ? refuseWill(session, packet) : decision.reason
      if (refusal !== null) {
        session.ended = refusal
        events.refused(refusal, whoIs(session))
      }
      if (refusal === null) {
        session.connect = acceptedConnect(packet)
        parts.arriving(session)
      }
      if (refusal !== null) return done(null, true)
      acceptFresh(client as Inside, packet, done)
    },

    authenticate(client, _username, _password, done) {
      const session = (client as Inside).session
      if (session !== undefined && session.ended === null) return done(null, true)
      const seen = session?.ended && session.ended in reasons ? reasons[session.ended as Reason].seen : 5
      done(
        Object.assign(new Error(session?.ended ?? 'unknown'), {
          returnCode: typeof seen === 'number' ? seen : 5,
        }),
        null,
      )
    },

    authorizePublish(client, packet, done) {
      const inside = client as Inside | null
      const session = inside?.session
      // aedes sends stored wills of other nodes without a client: there are none, and nobody vouches for them.
      if (inside === null || session === undefined || isCut(session))
        return done(new Error('no right to publish'))
      if (packet !== inside.will) {
        traffic.messagesReceived += 1
        traffic.payloadBytesReceived += packet.payload.length
      }
      const { topic, qos, retain } = packet as Will
      const right = packet === inside.will ? session.rights.will : session.rights.publish
      if (topic.length > settings.topicBytesMax || !right(topic, qos, retain)) {
        events.denied('publish_denied', whoIs(session), topic)
        return done(new Error('publish_denied'))
      }
      if (retain) {
        // The store keeps it under this name; aedes would add it only after the message was stored.
        Object.assign(packet, { clientId: session.identity.deviceId })
        if (packet === inside.will) parts.retaining.will(holderOf(session), session.rights, packet as Will)
        else parts.retaining.message(holderOf(session), session.rights)
      }
      packet.dup = false // of the way here alone [MQTT-3.3.1-3]
      events.messageReceived()
      if (qos === 1 && packet !== inside.will) parts.publishFirst(inside, packet, done)
      else done(null)
    },

    published(packet, client, done) {
      parts.published(packet, client, done)
    },

    authorizeSubscribe(client, subscription, done) {
      const session = (client as Inside).session
      if (session === undefined || isCut(session)) return done(new Error('no right to subscribe'))
      if (subscription === NO_SUBSCRIPTION) return done(null, null)
      const { topic } = subscription
      const bounds = parts.boundsOf(session.rights.isBackend === true)
      const isNew = !session.filters.has(topic)
      const isMany = session.filters.size >= settings.subscriptionsMax
      const full = isNew && (isMany || session.bytes + weighFilter(topic) > bounds.subscriptionBytes)
      if (full || topic.length > settings.topicBytesMax || !session.rights.subscribe(topic)) {
        events.denied('subscribe_denied', whoIs(session), topic)
        return done(null, null)
      }
      if (topic.startsWith('$share')) parts.sharing(client as Inside, session, subscription)
      grant(session, topic, subscription.qos as QoS)
      events.subscriptionsChanged(whoIs(session), session.filters, topic)
      // Which QoS a message gets is not aedes's to say.
      done(null, { ...subscription, qos: 2 })
    },

    authorizeForward(client, packet) {
      if (mayForward(client as Inside, packet)) {
        traffic.messagesSent += 1
        traffic.payloadBytesSent += packet.payload.length
        events.messageSent()
        return packet
      }
      if (packet.qos > 0) parts.denied(packet)
      return null
    },
  }

  function mayForward(client: Inside, packet: AedesPublishPacket): boolean {
    const { topic, qos } = packet
    const { session } = client
    // A new subscriber gets what is retained one after the other, and newer messages as they come: none older after them.
    // aedes takes the number off those that it shows so.
    if (packet.retain && packet.brokerId === null && !parts.isNewest(packet)) return false
    if (session === undefined || session.ended !== null || !session.rights.receive(topic)) return false
    const unsentBytes = client.conn.writableLength
    if (unsentBytes > settings.outboundBytesMax && qos === 0) {
      events.dropped('outbound', session.identity.deviceId)
      return false
    }
    if (unsentBytes <= settings.outboundBytesMax * UNSENT_QOS_FACTOR) return true
    parts.endSlow(client)
    return false
  }
}

function refuseWill(session: Session, packet: ConnectPacket): Reason | null {
  const will = packet.will as Will | undefined
  if (will === undefined) return null
  return session.rights.will(will.topic, will.qos, will.retain) ? null : 'will_denied'
}

function acceptedConnect(packet: ConnectPacket): AcceptedConnect {
  const { clientId, keepalive, clean, protocolVersion, username } = packet
  return {
    clientId,
    at: 0,
    protocolLevel: protocolVersion ?? 4,
    keepAliveSeconds: keepalive ?? 0,
    clean: clean ?? true,
    ...(username === undefined ? {} : { username: username.slice(0, USERNAME_SHOWN_MAX) }),
  }
}

function asRequest(packet: ConnectPacket) {
  return {
    protocolVersion: packet.protocolVersion ?? 4,
    clientId: packet.clientId,
    clean: packet.clean ?? true,
    username: packet.username,
    hasPassword: packet.password !== undefined && packet.password.length > 0,
  }
}
