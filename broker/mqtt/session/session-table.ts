// All sessions there are, live and stored, each by its client ID: how they begin, what they are subscribed to, how they end (MQTT 5
// §4.1). Keeps index, groups and store in step.

import type { SessionRow } from '../../../db/sessions/session-records.ts'
import { parseSubscription } from '../../../policy/subscription.ts'
import { ReleasingMap } from '../../releasing-map.ts'
import type { EngineEvents } from '../engine-events.ts'
import { optionsOf, type SessionStore } from '../persistence/session-store.ts'
import type { DeviceRights } from '../rights-resolver.ts'
import type { Subscriber } from '../routing/router.ts'
import type { SharedGroups } from '../routing/shared-groups.ts'
import type { TopicIndex } from '../routing/topic-index.ts'
import type { Client, SessionState, Subscription } from '../state.ts'
import { newSessionState, weighFilter } from './session-state.ts'

/** The filter of the topics themselves, without the group of a shared subscription. */
const topicsOf = (asked: string) => parseSubscription(asked)?.text ?? asked

export type SessionTable = ReturnType<typeof createSessionTable>

export function createSessionTable(parts: {
  store: SessionStore
  index: TopicIndex<Subscriber>
  groups: SharedGroups
  events: Pick<EngineEvents, 'storedSessionChanged'>
  /** Told of each subscription, so that other nodes send what matches it. */
  interest: { follow(filter: string): void; unfollow(filter: string): void } | null
  now(): number
}) {
  const { store, index, groups } = parts
  const states = new ReleasingMap<string, SessionState>()
  /** Those that are away and will end. */
  const expiring = new Set<SessionState>()

  function add(state: SessionState, subscription: Subscription): void {
    const { filter } = subscription
    if (!state.subscriptions.has(filter)) {
      state.subscriptionBytes += weighFilter(filter)
      parts.interest?.follow(topicsOf(filter))
    }
    state.subscriptions.set(filter, subscription)
    if (filter.startsWith('$share/')) groups.join(state, subscription)
    else index.subscribe(filter, state, subscription)
  }

  function remove(state: SessionState, filter: string): void {
    if (!state.subscriptions.delete(filter)) return
    state.subscriptionBytes -= weighFilter(filter)
    parts.interest?.unfollow(topicsOf(filter))
    if (filter.startsWith('$share/')) groups.leave(state, filter)
    else index.unsubscribe(filter, state)
  }

  function create(clientId: string, isKept: boolean, expirySeconds: number | null): SessionState {
    const state = newSessionState(clientId, isKept)
    state.expirySeconds = expirySeconds
    states.set(clientId, state)
    return state
  }

  function unsubscribe(state: SessionState, filters: readonly string[]): void {
    for (const filter of filters) remove(state, filter)
    store.unsubscribe(state, filters)
  }

  /** It ends: nothing of it is left. */
  function end(state: SessionState): void {
    if (states.get(state.clientId) !== state) return
    states.delete(state.clientId)
    expiring.delete(state)
    for (const filter of [...state.subscriptions.keys()]) remove(state, filter)
    store.removeSession(state)
    store.forgetIncoming(state.clientId)
    parts.events.storedSessionChanged(state.clientId)
    state.inFlight = null
    state.incoming = null
  }

  /** It outlives its connection for as long as it was agreed (MQTT 5 §3.1.2.11.2). */
  function away(state: SessionState, endedAt: number, isNew: boolean): void {
    if (state.expirySeconds === null) return
    state.endsAt = endedAt + state.expirySeconds * 1_000
    expiring.add(state)
    if (isNew) store.setExpiry(state, endedAt)
  }

  /**
   * A policy says how long it may outlive its connection at most; null for no bound. Of a session that is away it counts from now, and
   * never makes it last longer.
   */
  function limitExpiry(state: SessionState, most: number | null): void {
    if (!state.isKept || most === null || (state.expirySeconds ?? Number.POSITIVE_INFINITY) <= most) return
    const now = parts.now()
    if (state.endsAt !== null && state.endsAt <= now + most * 1_000) return
    state.expirySeconds = most
    if (state.client === null) away(state, now, true)
    else store.setExpiry(state, null)
  }

  return {
    get: (clientId: string) => states.get(clientId),
    all: () => states.values(),
    create,

    /** One that the last life left. */
    restore({ id, device, expirySeconds, endedAt }: SessionRow): SessionState {
      const state = create(device, true, expirySeconds)
      state.row = id
      // A connection that the broker's end ended is told by no clock before this.
      if (expirySeconds !== null) away(state, endedAt ?? parts.now(), endedAt === null)
      return state
    },
    restoreSubscription(
      state: SessionState,
      row: { topic: string; qos: 0 | 1 | 2; options: number; identifier: number | null },
    ): void {
      const { topic, qos, options, identifier } = row
      if (parseSubscription(topic) === null) return
      add(state, { filter: topic, qos, identifier, ...optionsOf(options) })
    },

    /**
     * Subscribes to all of these. Of a kept session they are on disk with the group that is open; throws where they cannot be
     * written, and takes them back where they are lost later.
     */
    subscribe(state: SessionState, subscriptions: readonly Subscription[]): void {
      const added = subscriptions.filter(({ filter }) => !state.subscriptions.has(filter))
      if (state.isKept)
        store.subscribe(state, subscriptions, () => {
          for (const { filter } of added) remove(state, filter)
        })
      for (const subscription of subscriptions) add(state, subscription)
    },

    unsubscribe,

    /** Of a session that is away: drops the subscriptions that are not allowed any more, and shortens its life. */
    keepOnly(clientId: string, rights: Pick<DeviceRights, 'subscribe' | 'limits'>): void {
      const state = states.get(clientId)
      if (state === undefined) return
      unsubscribe(
        state,
        [...state.subscriptions.keys()].filter(filter => !rights.subscribe(filter)),
      )
      limitExpiry(state, rights.limits?.sessionExpiryMaxSeconds ?? null)
    },

    end,

    /** Its client is back, and says how long it shall outlive this connection. */
    resume(state: SessionState, expirySeconds: number | null): void {
      const isSame = state.endsAt === null && state.expirySeconds === expirySeconds
      state.expirySeconds = expirySeconds
      state.endsAt = null
      expiring.delete(state)
      if (!isSame) store.setExpiry(state, null)
    },
    limitExpiry,
    /** DISCONNECT says anew how long it shall outlive this connection; null for without end. */
    agreeOnExpiry(state: SessionState, expirySeconds: number | null): void {
      state.expirySeconds = expirySeconds
      if (expirySeconds === null) store.setExpiry(state, null) // an end that was stored is none any more
    },
    isExpired: ({ endsAt }: SessionState) => endsAt !== null && endsAt <= parts.now(),
    /** Those that end now. */
    expired(): SessionState[] {
      const now = parts.now()
      return [...expiring].filter(({ endsAt }) => endsAt !== null && endsAt <= now)
    },

    /** A connection leaves its session, which is stored and waits for it, or ends. */
    leave(client: Client): void {
      const { state } = client
      if (state?.client !== client) return
      state.client = null
      if (state.isKept && state.row !== null && state.expirySeconds !== 0) {
        state.isQueueing = false
        state.inFlight = null
        away(state, parts.now(), true)
        return
      }
      // Its last subscriptions, for the observer of its end.
      if (state.subscriptions.size > 0) client.session.filters = new Map(state.subscriptions)
      end(state)
      if (!state.isKept) groups.handOn(state)
    },
  }
}
