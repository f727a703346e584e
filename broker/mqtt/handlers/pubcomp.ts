// PUBCOMP (MQTT 5 §3.7): a message of QoS 2 is done with.

import { PacketFault } from '../protocol/byte-reader.ts'
import type { Acknowledgement } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'
import type { HandlerContext } from './handler-context.ts'
import { goOn } from './puback.ts'

export function createPubcompHandler(parts: HandlerContext) {
  return (client: Client, { messageId }: Acknowledgement): void => {
    const { state } = client
    const entry = state?.inFlight?.get(messageId)
    if (state === null || entry === undefined) return
    if (entry.qos !== 2 || !entry.released)
      throw new PacketFault('PUBCOMP before PUBREL', codes.protocolError) // [MQTT-4.8.0-1]
    parts.delivery.forget(state, messageId)
    goOn(parts, client)
  }
}
