// DISCONNECT (MQTT 5 §3.14): the client leaves in order, and its will is not sent [MQTT-3.14.4-3], but where version 5 asks for it.

import { PacketFault } from '../protocol/byte-reader.ts'
import type { Disconnect } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'
import type { HandlerContext } from './handler-context.ts'
import { SESSION_EXPIRY, sessionExpiry } from './session-expiry.ts'

export function createDisconnectHandler({ closing, settings, table }: HandlerContext) {
  return (client: Client, { reasonCode, properties }: Disconnect): void => {
    const asked = properties.numbers.get(SESSION_EXPIRY)
    const { state, session } = client
    if (client.version === 5) session.receivedCode = reasonCode
    if (asked !== undefined && state !== null) {
      if (client.sessionExpiryAsked === 0 && asked > 0)
        throw new PacketFault('the session was to end with its connection', codes.protocolError) // [MQTT-3.14.2-2]
      table.agreeOnExpiry(state, sessionExpiry(asked, settings, session.rights))
    }
    session.ending = 'client_disconnect'
    const will = reasonCode === codes.disconnectWithWill
    closing.close(client, { transport: 'in order', will, last: null })
  }
}
