// Rights of a live session bound anew after policies changed: subscriptions now denied are dropped, and whoever has no
// rights left that anybody could tell is cut.
import type { Reason } from '../../db/reason.ts'
import type { Inside } from './aedes-client.ts'
import type { EngineEvents } from './interface.ts'
import { type RightsDesk, unboundRights, unreadRights } from './rights-desk.ts'
import type { SessionStore } from './session-store.ts'
import { holderOf, type Session, whoIs } from './sessions.ts'

/** Throws where policies cannot be read. */
export function createRebind(parts: {
  rightsOf: RightsDesk
  clientOf(session: Session): Inside | undefined
  store: Pick<SessionStore, 'removeSubscriptions'>
  cut(session: Session, reason: Reason): void
  events: Pick<EngineEvents, 'denied'>
}): (session: Session) => void {
  return session => {
    if (session.ended !== null) return // what was taken is not given back
    const rights = parts.rightsOf(holderOf(session))
    if (rights === unreadRights) throw new Error('the policies could not be read')
    session.rights = rights
    if (rights === unboundRights) {
      parts.cut(session, 'policy_unbound')
      return
    }
    const client = parts.clientOf(session)
    if (client === undefined) return
    const denied = Object.keys(client.subscriptions).filter(filter => !session.rights.subscribe(filter))
    if (denied.length === 0) return
    for (const filter of denied) parts.events.denied('subscribe_denied', whoIs(session), filter)
    client.unsubscribe(denied as never, () => {}) // aedes takes plain filters here, and calls back whatever it is given
    void parts.store.removeSubscriptions({ id: session.identity.deviceId }, denied)
  }
}
