// The engine: MQTT sessions of admitted connections, put together. Trusts the identity from the gate, checks admission again once a session is
// registered, and lets no session outlive its right.
import type { RetainedClearing } from '../../db/change-feed.ts'
import { startCluster } from './composition/cluster-side.ts'
import { createConnections } from './composition/connections.ts'
import { createFoundation } from './composition/foundation.ts'
import { createMessaging } from './composition/messaging.ts'
import { createStoredState } from './composition/stored-state.ts'
import { createTransport, type Reactions } from './composition/transport.ts'
import { createReauthorize } from './connection/reauthorize.ts'
import type { Engine, EngineOptions } from './interface.ts'
import { createBus } from './routing/bus.ts'
import { restore } from './session/restore.ts'
import { sendRestoredWills } from './session/restored-wills.ts'
import type { StoredStateAuthorization } from './session/stored-state-authorization.ts'
import { readSessionStatistics, readStoredSession } from './session-statistics.ts'
import { createTryouts } from './tryouts.ts'

export type { EngineEvents } from './engine-events.ts'
export type { Engine } from './interface.ts'

/** How often it is looked whether messages have waited too long, and which sessions and delays have ended. */
const [AGING_MS, EXPIRY_MS] = [60_000, 1_000]

type Parts = ReturnType<typeof createParts>

export async function createEngine(options: EngineOptions): Promise<Engine> {
  const parts = createParts(options)
  const { events } = parts.foundation
  const bus = await createBus({
    brokerId: options.sessionFile.brokerId,
    receive: parts.messaging.router.receive,
    onFailed: events.engineFailed,
    others: options.cluster?.bus ?? null,
  })
  parts.messaging.router.connect(bus)
  restore({ ...parts.foundation, ...parts.messaging, ...parts.state })
  parts.state.storedState.restore()
  startCluster(parts, options.isGone)
  const { expiry } = parts.state
  const { offlineAgeMaxMs } = options.settings
  const timers = [
    setInterval(expiry.dropAged, Math.min(AGING_MS, offlineAgeMaxMs)),
    setInterval(expiry.look, options.expiryCheckMs ?? EXPIRY_MS),
  ]
  return {
    ...connectionsOf(parts),
    ...storedStateOf(parts),
    ...figuresOf(parts),
    announce: message => announce(parts, message),
    tryouts: createTryouts({
      router: parts.messaging.router,
      index: parts.messaging.index,
      rightsOf: options.rightsOf,
      mayShow: parts.state.storedState.mayShow,
      bounds: options.settings,
      interest: options.cluster ?? null,
      nextSequence: parts.foundation.nextSequence,
      now: options.now,
    }),
    drain: parts.transport.drain.finish,
    async close() {
      for (const timer of timers) clearInterval(timer)
      await closeParts(parts)
      await options.cluster?.stop()
      await bus.close()
      await parts.foundation.store.close()
      await options.cluster?.close()
    },
  }
}

/** Each part is made of those above it; what bytes lead to is made last. */
function createParts(options: EngineOptions) {
  const later: Reactions & { storedState(): StoredStateAuthorization } = {
    connect: (client, packet) => connections.connect(client, packet),
    handle: (client, packet) => connections.handle(client, packet),
    fail: (client, error) => connections.admittance.fail(client, error),
    endSlow: client => connections.admittance.endSlow(client),
    lost: client => connections.admittance.lost(client),
    goOn: client => connections.goOn(client),
    storedState: () => state.storedState,
  }
  const foundation = createFoundation(options)
  const transport = createTransport(foundation, later)
  const messaging = createMessaging(foundation, transport, later)
  const state = createStoredState(foundation, messaging, options)
  const connections = createConnections(foundation, transport, messaging, state, options)
  return { foundation, transport, messaging, state, connections }
}

/** Live connections: how they come, are judged anew, and end. */
function connectionsOf({ foundation, state, connections }: Parts) {
  const { sessions, rightsOf, events } = foundation
  const { handleConnection, cut, end, sendAway } = connections.admittance
  const reauthorize = createReauthorize({ rightsOf, table: state.table, cut, events })
  const redirect: Engine['redirect'] = to => {
    foundation.redirect.to = to
  }
  return { handleConnection, sessions, cut, end, sendAway, redirect, reauthorize }
}

/** What devices left. */
function storedStateOf({ foundation, messaging, state }: Parts) {
  const { sessions, store } = foundation
  const { storedState, table, wills, expiry } = state
  const { retained } = messaging
  return {
    reauthorizeStoredState: (deviceId: string) =>
      storedState.rightsChanged(deviceId, sessions.ofDevice(deviceId).length > 0),
    policiesChanged: storedState.allRightsChanged,
    async purge(deviceId: string) {
      storedState.forget(deviceId)
      const session = table.get(deviceId)
      if (session !== undefined) table.end(session)
      store.forgetIncoming(deviceId)
      wills.forget(deviceId)
      retained.forget(deviceId)
    },
    clearSession(deviceId: string): void {
      const session = table.get(deviceId)
      if (session !== undefined) expiry.endSession(session)
      store.forgetIncoming(deviceId)
    },
    clearRetained({ topic, deviceId, at }: RetainedClearing): void {
      const message = retained.of(topic)
      if (message === undefined || (deviceId !== null && message.publisher !== deviceId)) return
      // What was published since is another message.
      if (message.at !== null && message.at > at) return
      retained.clear(topic)
      foundation.cluster?.router.unretain(topic)
    },
    retainedFacts: retained.facts,
    retainedTopics: retained.topics,
    sessionsClearedTo: store.clearedTo,
    clearedEpoch: store.clearedEpoch,
    leftBy() {
      const kept = [...table.all()].filter(({ isKept }) => isKept).map(({ clientId }) => clientId)
      return [...new Set([...kept, ...retained.publishers(), ...store.willing()])]
    },
    restoredWills: () => sendRestoredWills(state.restoredWills),
  }
}

function figuresOf({ foundation, messaging, state }: Parts) {
  const { sessions, store, traffic } = foundation
  return {
    traffic,
    queued: () => ({ ...store.counts(), ...messaging.retained.counts() }),
    storedSession: (deviceId: string) => readStoredSession(state.table, store, deviceId),
    sessionStatistics: () => readSessionStatistics(sessions, state.table, store),
  }
}

function announce(
  { foundation, state }: Parts,
  { topic, payload, qos, retain }: Parameters<Engine['announce']>[0],
): void {
  try {
    const own = { publisher: null, properties: null, expiresAt: null }
    state.publishOwn({ topic, payload: Buffer.from(payload), qos, retain, ...own })
  } catch (error) {
    foundation.events.engineFailed(error)
  }
}

async function closeParts({ foundation, messaging, connections }: Parts): Promise<void> {
  messaging.router.groups.close()
  await Promise.all([...foundation.clients()].map(connections.admittance.closeLast))
}
