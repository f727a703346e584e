// The engine: MQTT sessions of admitted connections, on aedes. The only file that imports aedes.
// Trusts the door's identity, asks again once a session is registered, and lets no session outlive its right.
import type { EventEmitter } from 'node:events'
import { Aedes, type Client, type ConnectPacket, type PublishPacket } from 'aedes'
import mqemitter from 'mqemitter'
import { decideConnect } from '../../admission/connect.ts'
import { rightEndsAt } from '../../admission/decide.ts'
import { type Reason, reasons } from '../../db/reason.ts'
import { noRights, type QoS } from '../../policy/rights.ts'
import type { Admit } from '../admit.ts'
import type { BrokerSettings } from '../config.ts'
import type { AdmittedConnection, Door, Identity } from '../door.ts'
import type { Who } from '../events.ts'
import type { RightsDesk } from './rights-desk.ts'
import { SessionStore } from './session-store.ts'
import { createSessions, type Session, type Sessions } from './sessions.ts'

export type EngineEvents = {
  refused(reason: Reason, who: Who, detail?: string): void
  admitted(who: Who): void
  connected(who: Who, clean: boolean): void
  disconnected(who: Who, why: string): void
  cut(reason: Reason, who: Who): void
  denied(reason: Reason, who: Who, topic: string): void
  dropped(what: 'outbound' | 'offline' | 'retained', deviceId: string): void
  clientFailed(who: Who, error: Error): void
  engineFailed(error: unknown): void
  firstUse(fingerprint: string, deviceId: string): void
  messageReceived(): void
  messageSent(): void
}

export type Engine = {
  door: Door
  sessions: Sessions
  /** Ends a live session at once and silences its will, in memory and stored. */
  cut(session: Session, reason: Reason): void
  /** Binds the rights of a live session anew; subscriptions now denied are dropped. */
  rebind(session: Session): void
  /** Forgets the stored session of a device. */
  purge(deviceId: string): Promise<void>
  close(): Promise<void>
}

/** Unsent bytes may grow further for QoS 1 and 2, whose loss a client would notice; then the client goes. */
const UNSENT_QOS_FACTOR = 4

/** CONNACK, return code 5 (MQTT 3.1.1 §3.2.2.3). */
const NOT_AUTHORIZED = Buffer.from([0x20, 0x02, 0x00, 0x05])

type Will = PublishPacket & { qos: QoS; retain: boolean }
/** What aedes keeps on a client beyond its types. */
type Inside = Client & {
  session?: Session
  will: Will | null
  _will: Will | null
  subscriptions: Record<string, unknown>
}

export type EngineParts = {
  settings: BrokerSettings
  admit: Admit
  rightsOf: RightsDesk
  events: EngineEvents
}

export async function createEngine(parts: EngineParts): Promise<Engine> {
  const { settings, admit, rightsOf, events } = parts
  const sessions = createSessions()
  const clients = new Map<Session, Inside>()
  const store = new SessionStore({
    offlineMessagesMax: settings.offlineMessagesMax,
    retainedMessagesMax: settings.retainedMessagesMax,
    maySubscribe: (client, topic) => (client as Inside).session?.rights.subscribe(topic) ?? false,
    onDropped: (what, deviceId) => events.dropped(what, deviceId),
  })

  const aedes = new Aedes({
    // With a limit, the queue is an array shifted from the front: 110 µs a message under load instead of 16.
    mq: mqemitter({ concurrency: 0, matchEmptyLevels: true }),
    persistence: store,
    connectTimeout: settings.connectTimeoutMs,
    drainTimeout: settings.outboundTimeoutMs,
    maxClientsIdLength: 128,
    maxTopicLevels: settings.topicLevelsMax,
    maxInflightInbound: settings.inflightInboundMax,

    preConnect(client, packet, done) {
      const session = (client as Inside).session
      if (session === undefined || session.ended !== null) return done(null, false)
      const decision = decideConnect(asRequest(packet), session.identity.deviceId)
      // aedes assigns a random ID to an empty one; ours is the device's.
      if (decision.accepted) packet.clientId = decision.clientId
      const refusal = decision.accepted ? refuseWill(session, packet) : decision.reason
      if (refusal !== null) {
        session.ended = refusal
        events.refused(refusal, whoIs(session))
      }
      done(null, true)
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
      const { topic, qos, retain } = packet as Will
      const allowed =
        packet === inside.will
          ? session.rights.will(topic, qos, retain)
          : session.rights.publish(topic, qos, retain)
      if (!allowed) {
        events.denied('publish_denied', whoIs(session), topic)
        return done(new Error('publish_denied'))
      }
      events.messageReceived()
      done(null)
    },

    authorizeSubscribe(client, subscription, done) {
      const inside = client as Inside
      const session = inside.session
      if (session === undefined || isCut(session)) return done(new Error('no right to subscribe'))
      const full = Object.keys(inside.subscriptions).length >= settings.subscriptionsMax
      if (full || !session.rights.subscribe(subscription.topic)) {
        events.denied('subscribe_denied', whoIs(session), subscription.topic)
        return done(null, null)
      }
      done(null, subscription)
    },

    authorizeForward(client, packet) {
      const session = (client as Inside).session
      if (session === undefined || session.ended !== null || !session.rights.receive(packet.topic))
        return null
      const unsentBytes = client.conn.writableLength
      if (unsentBytes > settings.outboundBytesMax && packet.qos === 0) {
        events.dropped('outbound', session.identity.deviceId)
        return null
      }
      if (unsentBytes > settings.outboundBytesMax * UNSENT_QOS_FACTOR) {
        note(client as Inside, 'consumer_too_slow')
        client.close()
        return null
      }
      events.messageSent()
      return packet
    },
  })
  silenceClusterBus(aedes)
  await aedes.listen()
  const emitter: EventEmitter = aedes
  emitter.on('error', error => events.engineFailed(error))

  aedes.on('clientReady', client => {
    const session = (client as Inside).session
    if (session === undefined || session.ended !== null) return client.close()
    session.connected = true
    events.connected(whoIs(session), client.clean)
    if (session.firstUse) events.firstUse(session.identity.fingerprint, session.identity.deviceId)
  })
  aedes.on('client', client => {
    // aedes registers a client whose connection ended while it was being authenticated: nobody would remove it again.
    if (client.closed)
      (aedes as unknown as { unregisterClient(client: Client): void }).unregisterClient(client)
  })
  aedes.on('keepaliveTimeout', client => note(client as Inside, 'keepalive_timeout'))
  aedes.on('clientError', (client, error) => failed(client as Inside, error))
  aedes.on('connectionError', (client, error) => failed(client as Inside, error))

  function failed(client: Inside, error: Error): void {
    const session = client.session
    if (session === undefined || session.ended !== null) return
    if (/drain timeout/.test(error.message)) note(client, 'consumer_too_slow')
    else if (error.message === 'publish_denied') note(client, 'publish_denied')
    else if (!session.connected) note(client, 'packet_malformed', error.message)
    events.clientFailed(whoIs(session), error)
    session.ended ??= error.message
  }

  function note(client: Inside, reason: Reason, detail?: string): void {
    const session = client.session
    if (session === undefined || session.ended !== null) return
    session.ended = reason
    if (session.connected) events.cut(reason, whoIs(session))
    else events.refused(reason, whoIs(session), detail)
  }

  function door({ stream, identity, address }: AdmittedConnection) {
    const session = newSession(identity, address)
    // First registered, then asked: a revocation either finds the session or is seen by the question.
    sessions.add(session)
    const admission = admit(identity)
    if (!admission.admitted) {
      sessions.remove(session)
      events.refused(admission.reason, whoIs(session))
      if (admission.record === null) stream.destroy()
      else stream.end(NOT_AUTHORIZED, () => stream.destroy()) // its CONNECT has arrived: whoever is listed is told
      return { drop() {} }
    }
    const { record } = admission
    session.serialNumber = record.serialNumber
    session.issuerId = record.issuerId
    session.rightEndsAt = rightEndsAt(record)
    session.firstUse = record.status === 'issued' || record.deviceState === 'registered'
    session.rights = rightsOf(holder(session))
    events.admitted(whoIs(session))
    stream.once('close', () => ended(session))
    const client = aedes.handle(stream) as Inside
    client.session = session
    clients.set(session, client)
    return {
      drop(reason: Reason) {
        session.ended ??= reason
        client.close()
      },
    }
  }

  function ended(session: Session): void {
    sessions.remove(session)
    clients.delete(session)
    if (session.connected) events.disconnected(whoIs(session), session.ended ?? 'closed')
  }

  function cut(session: Session, reason: Reason): void {
    if (session.ended !== null && isCut(session)) return
    session.ended = reason
    session.rights = noRights
    const client = clients.get(session)
    if (client === undefined) return
    client.will = null
    client._will = null
    void store.delWill({ id: session.identity.deviceId })
    client.close()
    client.conn.destroy()
    events.cut(reason, whoIs(session))
  }

  function rebind(session: Session): void {
    session.rights = rightsOf(holder(session))
    const client = clients.get(session)
    if (client === undefined) return
    const denied = Object.keys(client.subscriptions).filter(filter => !session.rights.subscribe(filter))
    if (denied.length === 0) return
    for (const filter of denied) events.denied('subscribe_denied', whoIs(session), filter)
    client.unsubscribe(denied as never, () => {}) // aedes takes plain filters here, and calls back whatever it is given
    void store.removeSubscriptions({ id: session.identity.deviceId }, denied)
  }

  return {
    door,
    sessions,
    cut,
    rebind,
    purge: deviceId => store.purge(deviceId),
    close: () => new Promise(resolve => aedes.close(() => resolve())),
  }
}

/**
 * aedes announces every client under `$SYS/<id>/` to other nodes on the same emitter. There are none, and the
 * announcements cost an eighth of a CONNECT.
 */
function silenceClusterBus(aedes: Aedes): void {
  const bus = `$SYS/${aedes.id}/`
  const publish = aedes.publish
  aedes.publish = function (this: Aedes, packet: PublishPacket, ...rest: unknown[]) {
    if (packet.topic.startsWith(bus)) return (rest.at(-1) as () => void)()
    Reflect.apply(publish, this, [packet, ...rest])
  } as Aedes['publish']
}

/** Whether the session's right has been taken: its rights are gone and nothing it still sends counts. */
function isCut(session: Session): boolean {
  return session.ended !== null && session.rights === noRights
}

function holder(session: Session) {
  return {
    deviceId: session.identity.deviceId,
    issuerId: session.issuerId,
    serialNumber: session.serialNumber,
  }
}

function newSession(identity: Identity, address: string): Session {
  return {
    identity,
    address,
    serialNumber: '',
    issuerId: null,
    rightEndsAt: 0,
    rights: noRights,
    firstUse: false,
    connected: false,
    ended: null,
  }
}

function refuseWill(session: Session, packet: ConnectPacket): Reason | null {
  const will = packet.will as Will | undefined
  if (will === undefined) return null
  return session.rights.will(will.topic, will.qos, will.retain) ? null : 'will_denied'
}

function asRequest(packet: ConnectPacket) {
  return {
    protocolVersion: packet.protocolVersion ?? 4,
    clientId: packet.clientId,
    clean: packet.clean ?? true,
    username: packet.username,
    hasPassword: packet.password !== undefined,
  }
}

function whoIs(session: Session): Who {
  return {
    address: session.address,
    fingerprint: session.identity.fingerprint,
    deviceId: session.identity.deviceId,
  }
}
