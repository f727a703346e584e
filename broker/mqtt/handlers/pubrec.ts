// PUBREC (MQTT 5 §3.5): a message of QoS 2 has arrived; PUBREL once that is on disk.

import { PacketFault } from '../protocol/byte-reader.ts'
import { encodeAcknowledgement } from '../protocol/encode.ts'
import type { Acknowledgement } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'
import type { HandlerContext } from './handler-context.ts'
import { goOn } from './puback.ts'

export function createPubrecHandler(parts: HandlerContext) {
  const { store, output, delivery } = parts
  return (client: Client, { messageId, reasonCode }: Acknowledgement): void => {
    const { state, version } = client
    const entry = state?.inFlight?.get(messageId)
    if (state === null || entry === undefined) {
      const unknown = version === 5 ? codes.packetIdentifierNotFound : 0
      output.sendAfter(client, null, encodeAcknowledgement('pubrel', version, messageId, unknown))
      return
    }
    if (entry.qos !== 2) throw new PacketFault('PUBREC of a message of QoS 1', codes.protocolError)
    if (reasonCode >= 0x80) {
      // It was not taken: nothing more is said of it [MQTT-4.3.3-4].
      delivery.forget(state, messageId)
      goOn(parts, client)
      return
    }
    let group: Promise<void> | null = null
    if (entry.row !== null && !entry.released) {
      store.queue.release(entry.row)
      group = store.kept()
    }
    entry.released = true
    output.sendAfter(client, group, encodeAcknowledgement('pubrel', version, messageId))
  }
}
