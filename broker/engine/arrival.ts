// A connection as aedes takes it on, with what is ours about it: held to the standard, ended in order, counted, and no brake on
// others. Decides nothing.
import type { Client } from 'aedes'
import { endInOrder, type Inside } from './aedes-client.ts'
import { deliverOnce } from './one-copy.ts'
import type { SessionStore } from './session-store.ts'
import type { Session } from './sessions.ts'
import { holdUpNobody } from './slow-consumer.ts'
import { holdToStandard } from './strict-packets.ts'
import { subscribeInOrder } from './subscribing.ts'
import { meter, type Traffic } from './traffic.ts'

export function arrives(taken: Client, session: Session, traffic: Traffic, store: SessionStore): Inside {
  const client = taken as Inside
  client.session = session
  holdToStandard(client)
  endInOrder(client)
  holdUpNobody(client)
  deliverOnce(client, store)
  subscribeInOrder(client)
  meter(client, traffic)
  return client
}
