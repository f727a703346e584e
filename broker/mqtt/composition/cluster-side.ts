// What the engine does for the cluster: sessions that come from other nodes and go to them, messages and retained messages of others.

import type { PeerPlace } from '../cluster/control.ts'
import type { EngineSide } from '../cluster/engine-side.ts'
import { markReplaced, placeOf } from '../connection/sessions.ts'
import { isExpired } from '../message.ts'
import { encodeDisconnect } from '../protocol/encode.ts'
import { codes } from '../protocol/reason-codes.ts'
import { createTopicIndex } from '../routing/topic-index.ts'
import { sendRestoredWills } from '../session/restored-wills.ts'
import type { SessionState } from '../state.ts'
import type { createConnections } from './connections.ts'
import type { Foundation } from './foundation.ts'
import type { Messaging } from './messaging.ts'
import type { StoredState } from './stored-state.ts'
import type { Transport } from './transport.ts'

type Parts = {
  foundation: Foundation
  transport: Transport
  messaging: Messaging
  state: StoredState
  connections: ReturnType<typeof createConnections>
}

/** More than any session misses on its way. */
const PLACES = 1_000_000

/** Nothing where this is the only node. */
export function startCluster(parts: Parts, isGone: (deviceId: string) => boolean): void {
  const { cluster, store, sessions, sequence, setSequence, nextSequence } = parts.foundation
  if (cluster === null) return
  const { router, retained, index } = parts.messaging
  const { storedState } = parts.state
  // Queues are ordered by it, over all nodes that have a session in turn: microseconds begin beyond what any node has counted.
  setSequence(Math.max(sequence(), Date.now() * 1_000))
  takeInRetained(parts)
  cluster.start({
    nextSequence,
    receiveFrom: router.receiveFrom,
    isWanted: router.isWanted,
    giveToGroup: router.giveToGroup,
    placeOf(asked) {
      const group = router.groups.get(asked)
      return group === undefined ? null : router.groups.place(group)
    },
    forgotten: asked => parts.foundation.events.dropped('shared', asked),
    shares: router.shares,
    principalOf(publisher) {
      const principal = store.principals.of(publisher)
      return principal === null ? null : { ...principal, isBackend: storedState.retainsAsBackend(publisher) }
    },
    retains: principal => storedState.retains(principal, principal.isBackend),
    rowRefused(clientId) {
      for (const session of sessions.ofDevice(clientId)) {
        const { client } = session
        if (client !== null) parts.connections.admittance.lost(client)
      }
    },
    keepRetained: message => void retained.keep(message),
    isRetained: topic => index.retained(topic) !== undefined,
    touch: store.touch,
    kept: store.kept,
    clearedEpoch: store.clearedEpoch,
    groupsHere: router.groups.here,
    groupChanges: router.groups.changes,
    setElsewhere: router.groups.setElsewhere,
    takenOver: (deviceId, ended, by) =>
      parts.foundation.events.takenOver({ ...ended, deviceId }, { ...by, deviceId }),
    tokensLeft: parts.transport.throttle.tokensLeft,
    takeInTokens: parts.transport.throttle.takeInTokens,
    moves: movesOf(parts, isGone),
  })
}

function takeInRetained({ foundation, messaging, state }: Parts): void {
  const { cluster, store, now, nextSequence } = foundation
  if (cluster === null) return
  for (const { topic, version, message: bytes } of cluster.retained) {
    cluster.restoredRetained(topic, version)
    const envelope = bytes === null ? null : cluster.decode(bytes)
    if (envelope === null || isExpired(envelope.message, now())) continue
    const message = { ...envelope.message, sequence: nextSequence(), at: null }
    store.retain(message)
    messaging.retained.restore(message)
    if (envelope.principal !== null)
      state.storedState.retains(envelope.principal, envelope.principal.isBackend)
  }
}

function movesOf(
  { foundation, messaging, state, connections }: Parts,
  isGone: (deviceId: string) => boolean,
): EngineSide['moves'] {
  const { cluster, sessions, store, events, sequence, setSequence } = foundation
  const { table, storedState, wills, restoredWills } = state

  function forget(clientId: string): void {
    const session = table.get(clientId)
    if (session !== undefined) table.end(session)
    store.forgetIncoming(clientId)
    wills.forget(clientId)
    storedState.leavesNothing(clientId)
  }

  return {
    endConnection(clientId) {
      let ended: PeerPlace | null = null
      for (const session of sessions.ofDevice(clientId)) {
        if (session.connected) ended = placeOf(markReplaced(session))
      }
      const client = table.get(clientId)?.client
      if (client == null) return ended
      const last = client.version === 5 ? encodeDisconnect(codes.sessionTakenOver) : null
      connections.closing.close(client, { transport: 'in order', will: true, last })
      return ended
    },

    letGo: forget,

    takeIn(clientId, rows) {
      const found = store.takeIn(clientId, rows)
      cluster?.skipRowIds(found.lastId)
      setSequence(Math.max(sequence(), found.lastCounter))
      for (const row of found.holders) storedState.takeIn(row)
      for (const row of found.wills) wills.restore(row)
      const [row] = found.sessions
      if (row === undefined) return null
      const session = table.restore(row)
      for (const subscription of found.subscriptions) table.restoreSubscription(session, subscription)
      if (found.incoming.length > 0)
        session.incoming = new Set(found.incoming.map(({ messageId }) => messageId))
      events.storedSessionChanged(clientId)
      return session
    },

    clear: forget,

    connectionLost(clientId) {
      try {
        if (isGone(clientId)) {
          forget(clientId)
          return
        }
        // It may have lost rights while no node had it.
        storedState.rightsChanged(clientId, sessions.ofDevice(clientId).length > 0)
      } catch (error) {
        events.engineFailed(error)
      }
      const row = wills.waiting(clientId)
      if (row === undefined || row.dueAt !== null) return
      try {
        for (const step of sendRestoredWills({ ...restoredWills, wills: new Map([[clientId, row]]) })) step()
      } catch (error) {
        events.engineFailed(error)
        wills.delay(row, foundation.now()) // it is due, and looked at again
      }
    },

    missedBy(states) {
      const own = createTopicIndex<SessionState>()
      for (const state of states)
        for (const subscription of state.subscriptions.values())
          if (!subscription.filter.startsWith('$share/'))
            own.subscribe(subscription.filter, state, subscription)
      return ({ message }, place, isOwed) => {
        if (message.qos === 0 || isExpired(message, foundation.now())) return
        messaging.router.queueFor({ ...message, sequence: place }, found =>
          own.match(message.topic, (state, subscription) => {
            const isThere =
              table.get(state.clientId) === state && state.subscriptions.has(subscription.filter)
            if (isThere && isOwed(state)) found(state, subscription)
          }),
        )
      }
    },

    reservePlace() {
      const place = sequence()
      setSequence(place + PLACES)
      return place
    },
  }
}
