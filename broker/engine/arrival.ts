// A connection as aedes takes it on, with what is ours about it: held to the standard, ended in order, counted, and no brake on
// others. Decides nothing.
import type { Client } from 'aedes'
import { endInOrder, type Inside } from './aedes-client.ts'
import { deliverOnce } from './one-copy.ts'
import { type PacingParts, pace } from './pacing.ts'
import type { SessionStore } from './session-store.ts'
import type { Session } from './sessions.ts'
import { holdUpNobody } from './slow-consumer.ts'
import { holdToStandard } from './strict-packets.ts'
import type { SubscriberEmitter } from './subscriber-emitter.ts'
import { subscribeInOrder } from './subscribing.ts'
import { meter, type Traffic } from './traffic.ts'

export function arrives(
  taken: Client,
  session: Session,
  traffic: Traffic,
  store: SessionStore,
  pacing: PacingParts,
  emitter: SubscriberEmitter,
): Inside {
  const client = taken as Inside
  client.session = session
  readWhole(client.conn)
  holdToStandard(client)
  endInOrder(client)
  holdUpNobody(client)
  deliverOnce(client, store)
  routeOnce(client, emitter)
  subscribeInOrder(client)
  meter(client, traffic)
  pace(client, session.identity.deviceId, pacing)
  return client
}

/**
 * From Node 26 on, `read()` gives one chunk at a time, and 'readable' is not emitted again for those that are left. aedes 1.2.0
 * reads once for each 'readable': a message in several TLS records would wait for the next one.
 */
function readWhole(stream: Client['conn']): void {
  const read = stream.read.bind(stream)
  stream.read = size => read(size ?? (stream.readableLength || undefined))
}

/** aedes makes a listener of its own for each filter, and notes it with the filter before it adds it. */
function routeOnce(client: Inside, emitter: SubscriberEmitter): void {
  client.subscriptions = new Proxy(client.subscriptions, {
    set(subscriptions, filter, subscription) {
      emitter.assign(subscription.func, client)
      return Reflect.set(subscriptions, filter, subscription)
    },
  })
}
