// PUBACK (MQTT 5 §3.4): a message of QoS 1 has arrived.

import { PacketFault } from '../protocol/byte-reader.ts'
import type { Acknowledgement } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'
import type { HandlerContext } from './handler-context.ts'

export function createPubackHandler({ delivery, router, queueReplay, retained }: HandlerContext) {
  return (client: Client, { messageId }: Acknowledgement): void => {
    const { state } = client
    const entry = state?.inFlight?.get(messageId)
    if (state === null || entry === undefined) return
    // A wrong acknowledgement ends the connection; nothing of it counts [MQTT-4.8.0-1].
    if (entry.qos !== 1) throw new PacketFault('PUBACK of a message of QoS 2', codes.protocolError)
    if (entry.shared !== null) router.groups.acknowledged(state, messageId)
    delivery.forget(state, messageId)
    goOn({ delivery, queueReplay, retained }, client)
  }
}

/** The window of a client has room again. */
export function goOn(
  { delivery, queueReplay, retained }: Pick<HandlerContext, 'delivery' | 'queueReplay' | 'retained'>,
  client: Client,
): void {
  const { state } = client
  if (state === null) return
  if (state.waiting !== null) delivery.sendWaiting(state)
  if (state.isQueueing) queueReplay.goOn(state)
  if (client.showing !== null) retained.goOn(client)
}
