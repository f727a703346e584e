// What outlives connections: sessions and their expiry, wills and their delay, and the right to either.
import type { EngineOptions } from '../interface.ts'
import type { Message } from '../message.ts'
import { createExpiry } from '../session/expiry.ts'
import { createSessionTable } from '../session/session-table.ts'
import { createStoredStateAuthorization } from '../session/stored-state-authorization.ts'
import { createWills } from '../session/wills.ts'
import type { Foundation } from './foundation.ts'
import type { Messaging } from './messaging.ts'

export type StoredState = ReturnType<typeof createStoredState>

export function createStoredState(
  { settings, store, traffic, events, rightsOf, now, nextSequence, cluster }: Foundation,
  { index, router, retained }: Messaging,
  { admit, isGone }: Pick<EngineOptions, 'admit' | 'isGone'>,
) {
  const table = createSessionTable({ store, index, groups: router.groups, events, interest: cluster, now })
  const storedState = createStoredStateAuthorization({
    rightsOf,
    keepOnly: table.keepOnly,
    record: store.principals,
    isGone,
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
    admit,
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
  return { table, storedState, wills, restoredWills, expiry, publishOwn }
}
