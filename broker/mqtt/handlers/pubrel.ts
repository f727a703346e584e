// PUBREL (MQTT 5 §3.6): the identifier of a message of QoS 2 is free again. PUBCOMP waits until that is on disk, for it may come again
// with another message.

import { encodeAcknowledgement } from '../protocol/encode.ts'
import type { Acknowledgement } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'
import type { HandlerContext } from './handler-context.ts'

export function createPubrelHandler({ store, output }: HandlerContext) {
  return (client: Client, { messageId }: Acknowledgement): void => {
    const { state, version } = client
    if (state === null) return
    const isKnown = state.incoming?.delete(messageId) === true
    const isWritten = isKnown && store.finishIncoming(state.clientId, messageId)
    // Of a session that goes on PUBREL may have come before, and its PUBCOMP been lost: done with, and no error (§2.4). MQTT.js takes
    // 0x92 for a failed publish, which its application would send again.
    const code = isKnown || version < 5 || client.isResumed ? 0 : codes.packetIdentifierNotFound
    output.sendAfter(
      client,
      isWritten ? store.kept() : null,
      encodeAcknowledgement('pubcomp', version, messageId, code),
    )
  }
}
