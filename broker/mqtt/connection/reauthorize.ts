// Rights of a live session bound anew after policies changed: subscriptions now denied are dropped, and a device with
// no readable rights is cut.

import type { Reason } from '../../../db/reason.ts'
import type { EngineEvents } from '../engine-events.ts'
import { type RightsResolver, unboundRights, unreadRights } from '../rights-resolver.ts'
import type { SessionTable } from '../session/session-table.ts'
import { peerInfoOf, principalOf, type Session } from './sessions.ts'

/** Throws where policies cannot be read. */
export function createReauthorize(parts: {
  rightsOf: RightsResolver
  table: SessionTable
  cut(session: Session, reason: Reason): void
  events: Pick<EngineEvents, 'denied' | 'rightDenied' | 'subscriptionsChanged'>
}): (session: Session) => void {
  const { events, table } = parts
  return session => {
    if (session.ended !== null) return // what was taken is not given back
    const rights = parts.rightsOf(principalOf(session))
    if (rights === unreadRights) throw new Error('the policies could not be read')
    session.rights = rights
    if (rights === unboundRights) {
      parts.cut(session, 'policy_unbound')
      return
    }
    const state = session.client?.state ?? null
    if (state === null) return
    table.limitExpiry(state, rights.limits?.sessionExpiryMaxSeconds ?? null)
    const denied = [...state.subscriptions.keys()].filter(filter => !session.rights.subscribe(filter))
    if (denied.length === 0) return
    for (const filter of denied) {
      events.denied('subscribe_denied', peerInfoOf(session), filter)
      const { qos } = state.subscriptions.get(filter)!
      events.rightDenied(session, { action: 'subscribe', topic: filter, qos, retain: false })
    }
    table.unsubscribe(state, denied)
    events.subscriptionsChanged(peerInfoOf(session), state.subscriptions)
  }
}
