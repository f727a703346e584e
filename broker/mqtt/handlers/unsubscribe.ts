// UNSUBSCRIBE (MQTT 5 §3.10): ends the subscriptions that are the same, character by character [MQTT-3.10.4-1].

import { peerInfoOf } from '../connection/sessions.ts'
import { encodeUnsuback } from '../protocol/encode.ts'
import type { Unsubscribe } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'
import type { HandlerContext } from './handler-context.ts'

export function createUnsubscribeHandler({ events, table, output }: HandlerContext) {
  return (client: Client, { messageId, filters }: Unsubscribe): void => {
    const { session, state, version } = client
    if (state === null) return
    const answers = filters.map(filter =>
      state.subscriptions.has(filter) ? codes.success : codes.noSubscriptionExisted,
    )
    table.unsubscribe(state, filters)
    for (const filter of filters) client.showing?.delete(filter) // [MQTT-3.10.4-2]
    if (session.ended === null) events.subscriptionsChanged(peerInfoOf(session), state.subscriptions)
    output.sendAfter(client, null, encodeUnsuback(version, messageId, answers))
  }
}
