// The engine: MQTT sessions of admitted connections, on aedes. The only file that imports aedes.
// Trusts the door's identity, asks again once a session is registered, and lets no session outlive its right.
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { Aedes } from 'aedes'
import { rightEndsAt } from '../../admission/decide.ts'
import type { Reason } from '../../db/reason.ts'
import { noRights } from '../../policy/rights.ts'
import type { AdmittedConnection } from '../door.ts'
import { type Acknowledgement, createAcknowledgement } from './acknowledgement.ts'
import { type Inside, publishOwn, reasonOfFailure } from './aedes-client.ts'
import { arrives } from './arrival.ts'
import { readyAtConnack } from './catching-up.ts'
import { takeCensus } from './census.ts'
import { createDeviceBounds } from './device-bounds.ts'
import { createDrain } from './drain.ts'
import { QuotaExceeded } from './durable/quota-exceeded.ts'
import { createFreshConnect } from './fresh-connect.ts'
import { withdraw } from './granted-qos.ts'
import { createHooks } from './hooks.ts'
import type { Engine, EngineParts } from './interface.ts'
import { createLeavings } from './leavings.ts'
import { sendLeftWills } from './left-wills.ts'
import { createPacing } from './pacing.ts'
import { createRebind } from './rebind.ts'
import { answerNotAuthorized, closeUnanswered } from './refused-connection.ts'
import { createRetaining } from './retaining.ts'
import { unboundRights, unreadRights } from './rights-desk.ts'
import { mendRouting } from './routing.ts'
import { SessionStore } from './session-store.ts'
import { createSessions, holderOf, isCut, markReplaced, newSession, type Session, whoIs } from './sessions.ts'
import { createSharedSubscriptions } from './shared-subscriptions.ts'
import { createSubscriberEmitter } from './subscriber-emitter.ts'
import { answerSubscribers } from './subscribing.ts'
import { newTraffic } from './traffic.ts'

export type { Engine, EngineEvents } from './interface.ts'

/** How often it is looked whether messages have waited too long. */
const AGING_MS = 60_000

export async function createEngine(parts: EngineParts): Promise<Engine> {
  const { settings, admit, rightsOf, events } = parts
  const sessions = createSessions()
  const boundsOf = createDeviceBounds(settings)
  const clients = new Map<Session, Inside>()
  const denied = new WeakSet<object>()
  const traffic = newTraffic()
  const dropped: typeof events.dropped = (what, deviceId) => {
    if (what !== 'retained') traffic.messagesDropped += 1
    events.dropped(what, deviceId)
  }
  const store = new SessionStore({
    file: parts.sessionFile,
    bounds: settings,
    now: parts.now,
    isGranted: (client, topic) => (client as Inside).session?.filters.has(topic) ?? false,
    isEnding: client => ((client as Inside).session?.ended ?? null) !== null,
    onAcknowledged: (client, messageId) => shared.acknowledged(client as Inside, messageId),
    isDenied: packet => denied.has(packet),
    whose(client) {
      const session = (client as Inside).session
      return session === undefined
        ? null
        : { holder: holderOf(session), fingerprint: session.identity.fingerprint }
    },
    mayShow: message => leavings.mayShow(message),
    retainedBoundsOf: deviceId => boundsOf(leavings.retainsAsBackend(deviceId)).retained,
    onForgotten(deviceId, topics) {
      for (const topic of topics ?? [null]) shared.forget(deviceId, topic)
    },
    onDropped: dropped,
    onUnkept: client => (client as Inside).conn.destroy(),
    onLost: events.sessionsUnkept,
    onKept: events.sessionsKept,
  })
  const keepOnly = (deviceId: string, allowed: (filter: string) => boolean) =>
    void store.keepOnly(deviceId, allowed).catch(events.engineFailed)
  const drain = createDrain({ clients: () => clients.values(), store })
  const leavings = createLeavings({ rightsOf, keepOnly, record: store.holders, isGone: parts.isGone })
  const retaining = createRetaining({ leavings, store, dropped })

  const hooks = createHooks({
    settings,
    events: { ...events, dropped },
    traffic,
    acceptFresh: (client, packet, done) => acceptFresh(client, packet, done),
    arriving(session) {
      for (const other of sessions.ofDevice(session.identity.deviceId)) {
        if (other !== session && other.connected) events.takenOver(whoIs(markReplaced(other)), whoIs(session))
      }
    },
    retaining,
    boundsOf,
    publishFirst: (client, packet, done) => acknowledgement.publishFirst(client, packet, done),
    published: (packet, client, done) => acknowledgement.published(packet, client, done),
    sharing: (client, session, { topic, qos }) => shared.join(client, session.identity.deviceId, topic, qos),
    isNewest: packet => store.isNewest(packet),
    denied: packet => void denied.add(packet),
    endSlow(client) {
      note(client, 'consumer_too_slow')
      client.close()
    },
  })
  const emitter = createSubscriberEmitter()
  const aedes = new Aedes({
    id: parts.sessionFile.brokerId,
    mq: emitter as never,
    persistence: store,
    connectTimeout: settings.connectTimeoutMs,
    drainTimeout: settings.outboundTimeoutMs,
    maxClientsIdLength: 128,
    maxTopicLevels: settings.topicLevelsMax,
    maxInflightInbound: settings.inflightInboundMax,
    ...hooks,
  })
  mendRouting(aedes)
  const acknowledgement: Acknowledgement = createAcknowledgement(aedes, store, events.routed)
  const acceptFresh = createFreshConnect({ aedes, store, sessions, leavings, traffic })
  const shared = createSharedSubscriptions({
    aedes,
    settings,
    dropped,
    queue: (clientId, { topic, qos, payload, ...rest }) =>
      store.outgoingEnqueue({ clientId, topic, qos }, { topic, qos, payload: Buffer.from(payload), ...rest }),
  })
  const pacing = createPacing(settings, boundsOf, session => events.slowed(whoIs(session)))
  await aedes.listen()
  leavings.restore()
  for (const { deviceId, topic, qos } of store.sharedSubscriptions()) shared.join(null, deviceId, topic, qos)
  const aging = setInterval(dropAged, Math.min(AGING_MS, settings.offlineAgeMaxMs))
  ;(aedes as EventEmitter).on('error', error => events.engineFailed(error))

  readyAtConnack(aedes, client => {
    const { session } = client
    if (session === undefined || session.ended !== null) return client.close()
    if (session.connected) return
    sessions.connect(session)
    if (session.connect !== null) session.connect.at = parts.now()
    if (client.clean) leavings.leavesNothing(session.identity.deviceId)
    else {
      leavings.keepsSession(holderOf(session))
      keepOnly(session.identity.deviceId, filter => session.rights.subscribe(filter)) // it may have come with less
    }
    events.connected(whoIs(session), client.clean)
    if (session.firstUse) events.firstUse(session.identity.fingerprint, session.identity.deviceId)
  })
  aedes.on('client', client => {
    // aedes registers a client whose connection ended while it was being authenticated: nobody would remove it again.
    if (client.closed) aedes.unregisterClient(client)
  })
  aedes.on('unsubscribe', (filters, client) => {
    const session = (client as Inside).session
    if (session === undefined) return
    for (const filter of filters) {
      withdraw(session, filter)
      shared.part(client as Inside, session.identity.deviceId, filter)
    }
    if (session.ended === null) events.subscriptionsChanged(whoIs(session), session.filters)
  })
  answerSubscribers(aedes) // and goes on with the next, once what has just been done is noted
  aedes.on('keepaliveTimeout', client => note(client as Inside, 'keepalive_timeout'))
  aedes.on('clientError', (client, error) => failed(client as Inside, error))
  aedes.on('connectionError', (client, error) => failed(client as Inside, error))

  function dropAged(): void {
    try {
      if (store.dropAged()) setImmediate(dropAged)
    } catch (error) {
      events.engineFailed(error)
    }
  }

  function failed(client: Inside, error: Error): void {
    const session = client.session
    if (session === undefined || session.ended !== null) return
    const reason = reasonOfFailure(error, session.connected)
    if (reason !== null) note(client, reason, error.message)
    if (error instanceof QuotaExceeded) events.denied(error.reason, whoIs(session), error.topic)
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

  function door({ stream, ...connection }: AdmittedConnection) {
    if (drain.begun()) return closeUnanswered(stream)
    const { identity } = connection
    const session = newSession(connection)
    // First registered, then asked: a revocation either finds the session or is seen by the question.
    sessions.add(session)
    const admission = admit(identity)
    if (!admission.admitted) {
      return turnAway(session, stream, admission.reason, admission.record !== null)
    }
    const { record } = admission
    session.serialNumber = record.serialNumber
    session.issuerId = record.issuerId
    session.rightEndsAt = rightEndsAt(record)
    session.firstUse = record.firstUsedAt === null || record.deviceState === 'registered'
    session.rights = rightsOf(holderOf(session))
    if (session.rights === unboundRights) return turnAway(session, stream, 'policy_unbound', true)
    if (session.rights === unreadRights) return turnAway(session, stream, 'registry_unavailable', false)
    events.admitted(whoIs(session))
    stream.once('close', () => ended(session))
    const client = arrives(aedes.handle(stream), session, traffic, store, pacing, emitter)
    clients.set(session, client)
    return {
      drop(reason: Reason) {
        session.ended ??= reason
        client.close()
      },
    }
  }

  /** Its CONNECT has arrived: whoever is listed is told. */
  function turnAway(session: Session, stream: Duplex, reason: Reason, listed: boolean) {
    sessions.remove(session)
    events.refused(reason, whoIs(session))
    return listed ? answerNotAuthorized(stream) : closeUnanswered(stream)
  }

  function end(session: Session, reason: Reason): void {
    const client = clients.get(session)
    if (client === undefined) return
    note(client, reason)
    client.close()
  }

  function ended(session: Session): void {
    sessions.remove(session)
    const client = clients.get(session)
    if (client !== undefined) shared.away(client, session.identity.deviceId)
    clients.delete(session)
    if (session.filters.size > 0) {
      // Who took it over may have subscribed already.
      const heir = sessions.ofDevice(session.identity.deviceId).at(-1)
      events.subscriptionsChanged(whoIs(heir ?? session), heir?.filters ?? new Map())
    }
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

  return {
    door,
    sessions,
    cut,
    end,
    rebind: createRebind({ rightsOf, store, cut, events, clientOf: session => clients.get(session) }),
    rebindLeavings: deviceId => leavings.rightsChanged(deviceId, sessions.ofDevice(deviceId).length > 0),
    policiesChanged: leavings.allRightsChanged,
    async purge(deviceId) {
      leavings.forget(deviceId)
      await store.purge(deviceId)
      await store.forgetRetained(deviceId)
    },
    leftBy: () => store.leftBy(),
    leftWills: () =>
      sendLeftWills({
        wills: store.leftWills,
        admit,
        rightsOf,
        send(will, holder) {
          if (will.retain) retaining.will(holder, rightsOf(holder), will)
          publishOwn(aedes, will, events.engineFailed, () => void store.delWill({ id: holder.deviceId }))
        },
        forget: deviceId => void store.delWill({ id: deviceId }),
      }),
    queued: () => store.counts(),
    announce: message => publishOwn(aedes, message, events.engineFailed),
    traffic,
    census: () => takeCensus(sessions, store),
    drain: drain.finish,
    async close() {
      clearInterval(aging)
      shared.close()
      await new Promise<void>(resolve => aedes.close(() => resolve()))
      await store.close()
    },
  }
}
