// The engine: MQTT sessions of admitted connections, put together. Trusts the identity from the gate, checks admission again once a session is
// registered, and lets no session outlive its right.
import { protocolNames } from '../../db/roll/live-sessions.ts'
import type { AdmittedConnection } from '../connection-handler.ts'
import { createAdmittance } from './connection/admittance.ts'
import { type Client, newClient } from './connection/client.ts'
import { createClosing } from './connection/closing.ts'
import { createInput } from './connection/input.ts'
import { createOutput } from './connection/output.ts'
import { createReauthorize } from './connection/reauthorize.ts'
import { principalOf, type Session, whoIs } from './connection/sessions.ts'
import { createThrottle } from './connection/throttle.ts'
import { createDeviceBounds } from './device-bounds.ts'
import { createDrain } from './drain.ts'
import { createConnectHandler } from './handlers/connect.ts'
import type { HandlerContext } from './handlers/handler-context.ts'
import { createHandlers } from './handlers/index.ts'
import { goOn } from './handlers/puback.ts'
import type { Engine, EngineOptions } from './interface.ts'
import type { Message } from './message.ts'
import { createSessionStore } from './persistence/session-store.ts'
import { createDecoder } from './protocol/decode.ts'
import { createBus } from './routing/bus.ts'
import { createRetainedMessages } from './routing/retained.ts'
import { createRouter, type Subscriber } from './routing/router.ts'
import { createShowThrottle } from './routing/show-throttle.ts'
import { createTopicIndex } from './routing/topic-index.ts'
import { createDelivery } from './session/delivery.ts'
import { createExpiry } from './session/expiry.ts'
import { createQueueReplay } from './session/queue-replay.ts'
import { restore } from './session/restore.ts'
import { sendRestoredWills } from './session/restored-wills.ts'
import { createSessionTable } from './session/session-table.ts'
import { createStoredStateAuthorization } from './session/stored-state-authorization.ts'
import { createWills } from './session/wills.ts'
import { readSessionStatistics, readStoredSession } from './session-statistics.ts'
import { countingEvents, newTraffic } from './traffic.ts'

export type { Engine, EngineEvents } from './interface.ts'

/** How often it is looked whether messages have waited too long, and which sessions and delays have ended. */
const [AGING_MS, EXPIRY_MS] = [60_000, 1_000]

export async function createEngine(engineParts: EngineOptions): Promise<Engine> {
  const { settings, sessions, rightsOf, now } = engineParts
  const boundsOf = createDeviceBounds(settings)
  const clients = new Map<Session, Client>()
  const traffic = newTraffic()
  const events = countingEvents(engineParts.events, traffic)
  let sequence = 0
  const nextSequence = () => ++sequence
  const store = createSessionStore({
    file: engineParts.sessionFile,
    bounds: settings,
    now,
    onDropped: events.dropped,
    onLost: events.sessionsUnkept,
    onKept: events.sessionsKept,
  })
  const drain = createDrain({ clients: () => clients.values(), output: () => output })
  const input = createInput({
    decoder: createDecoder(settings),
    traffic,
    throttle: () => throttle,
    onConnect: (client, packet) => connect(client, packet),
    onPacket: (client, packet) => handle(client, packet),
    onFault: (client, error) => admittance.fail(client, error),
  })
  const output = createOutput({
    traffic,
    timeoutMs: settings.outboundTimeoutMs,
    isBusy: () => throttle.isBusy(),
    onTimeout: client => admittance.endSlow(client),
    onLost: client => admittance.lost(client),
    onRoom: client => goOn(parts, client),
    onWritten: client => throttle.written(client),
    hold: input.hold,
    release: input.release,
  })
  const throttle = createThrottle({
    boundsOf,
    inHandBytesMax: settings.packetBytesMax,
    onHeld: ({ session }) => events.slowed(whoIs(session)),
    hold: input.hold,
    release: input.release,
  })
  const delivery = createDelivery({
    settings,
    store,
    output,
    traffic,
    events,
    now,
    isDraining: drain.begun,
    // Not while a message is being routed: the will of an ending session is a message, too.
    endSlow: client => queueMicrotask(() => admittance.endSlow(client)),
  })
  const index = createTopicIndex<Subscriber>()
  const retained = createRetainedMessages({
    throttle: createShowThrottle(boundsOf),
    index,
    store,
    delivery,
    output,
    storedState: () => storedState,
    all: { messages: settings.retainedMessagesMax, bytes: settings.retainedBytesMax },
    boundsOf: deviceId => boundsOf(storedState.retainsAsBackend(deviceId)).retained,
    nextSequence,
    now,
  })
  const router = createRouter({
    index,
    retained,
    store,
    delivery,
    output,
    bounds: settings,
    nextSequence,
    onForgotten: clientId => events.dropped('shared', clientId),
    routed: events.routed,
  })
  const table = createSessionTable({ store, index, groups: router.groups, events, now })
  const queueReplay = createQueueReplay({
    store,
    output,
    delivery,
    isDraining: drain.begun,
    dropped: events.dropped,
  })
  const storedState = createStoredStateAuthorization({
    rightsOf,
    keepOnly: table.keepOnly,
    record: store.principals,
    isGone: engineParts.isGone,
  })
  const publishOwn = (message: Omit<Message, 'sequence'>) =>
    void router.publish({ ...message, sequence: nextSequence() }, null)
  const wills = createWills({
    store,
    events,
    traffic,
    topicBytesMax: settings.topicBytesMax,
    mayRetain(principal, message) {
      storedState.retains(principal, rightsOf(principal).isBackend === true)
      return retained.refusal(message) === null
    },
    publish: publishOwn,
    now,
  })
  const restoredWills = {
    wills: wills.left,
    admit: engineParts.admit,
    rightsOf,
    now,
    sessionEndsAt: (clientId: string) => table.get(clientId)?.endsAt,
    send: wills.send,
    delay: wills.delay,
    forget: wills.forget,
  }
  const expiry = createExpiry({
    retained,
    store,
    table,
    wills,
    storedState,
    restoredWills,
    onExpired: events.sessionExpired,
    onFailed: events.engineFailed,
  })
  const closing = createClosing({
    isStored: state => table.get(state.clientId) === state,
    output,
    wills: () => wills,
    leave(client) {
      throttle.closed(client)
      retained.closed(client)
      table.leave(client)
    },
  })
  const admittance = createAdmittance({
    ...engineParts,
    events,
    sessions,
    clients,
    closing,
    isClosed: drain.begun,
    finish: input.finish,
    takeOn(session, stream) {
      const client = newClient(session, stream)
      stream.on('data', chunk => input.receive(client, chunk))
      return client
    },
  })
  const parts: HandlerContext = {
    settings,
    events,
    traffic,
    sessions,
    store,
    output,
    input,
    closing,
    table,
    router,
    retained,
    delivery,
    queueReplay,
    storedState,
    wills,
    expiry,
    boundsOf,
    nextSequence,
    now,
    isDraining: drain.begun,
    fail: admittance.fail,
    ready(client) {
      const { session, state } = client
      sessions.connect(session)
      if (session.connect !== null) session.connect.at = now()
      const isKept = state?.isKept === true
      if (isKept) storedState.keepsSession(principalOf(session))
      else storedState.leavesNothing(session.identity.deviceId)
      events.connected(whoIs(session), !isKept, protocolNames[client.version])
      events.connectionAccepted(session)
      if (session.firstUse) events.firstUse(session.identity.fingerprint, session.identity.deviceId)
    },
  }
  const connect = createConnectHandler(parts)
  const handle = createHandlers(parts)
  const bus = await createBus({
    brokerId: engineParts.sessionFile.brokerId,
    receive: router.receive,
    onFailed: events.engineFailed,
  })
  router.connect(bus)
  sequence = restore({
    store,
    table,
    retained,
    wills,
    nextSequence,
    setSequence: value => (sequence = value),
  })
  storedState.restore()
  const aging = setInterval(expiry.dropAged, Math.min(AGING_MS, settings.offlineAgeMaxMs))
  const expiring = setInterval(expiry.look, engineParts.expiryCheckMs ?? EXPIRY_MS)

  return {
    handleConnection: (connection: AdmittedConnection) => admittance.handleConnection(connection),
    sessions,
    cut: admittance.cut,
    end: admittance.end,
    reauthorize: createReauthorize({
      rightsOf,
      table,
      cut: admittance.cut,
      events,
      clientOf: session => clients.get(session),
    }),
    reauthorizeStoredState: deviceId =>
      storedState.rightsChanged(deviceId, sessions.ofDevice(deviceId).length > 0),
    policiesChanged: storedState.allRightsChanged,
    async purge(deviceId) {
      storedState.forget(deviceId)
      const state = table.get(deviceId)
      if (state !== undefined) table.end(state)
      store.forgetIncoming(deviceId)
      wills.forget(deviceId)
      retained.forget(deviceId)
    },
    leftBy() {
      const kept = [...table.all()].filter(({ isKept }) => isKept).map(({ clientId }) => clientId)
      return [...new Set([...kept, ...retained.publishers(), ...store.willing()])]
    },
    restoredWills: () => sendRestoredWills(restoredWills),
    queued: () => ({ ...store.counts(), ...retained.counts() }),
    announce({ topic, payload, qos, retain }) {
      try {
        const own = { publisher: null, properties: null, expiresAt: null }
        publishOwn({ topic, payload: Buffer.from(payload), qos, retain, ...own })
      } catch (error) {
        events.engineFailed(error)
      }
    },
    traffic,
    storedSession: deviceId => readStoredSession(table, store, deviceId),
    sessionStatistics: () => readSessionStatistics(sessions, table, store),
    drain: drain.finish,
    async close() {
      clearInterval(aging)
      clearInterval(expiring)
      router.groups.close()
      const gone = [...clients.values()].map(client => admittance.closeLast(client))
      await Promise.all(gone)
      await bus.close()
      await store.close()
    },
  }
}
