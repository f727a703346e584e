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
import { subscribeInOrder } from './subscribing.ts'
import { meter, type Traffic } from './traffic.ts'

export function arrives(
  taken: Client,
  session: Session,
  traffic: Traffic,
  store: SessionStore,
  pacing: PacingParts,
): Inside {
  const client = taken as Inside
  client.session = session
  readWhole(client.conn)
  holdToStandard(client)
  endInOrder(client)
  holdUpNobody(client)
  deliverOnce(client, store)
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
