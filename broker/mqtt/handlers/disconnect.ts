// DISCONNECT (MQTT 5 §3.14): the client leaves in order, and its will is not sent [MQTT-3.14.4-3], but where version 5 asks for it.
import type { Client } from '../connection/client.ts'
import { PacketFault } from '../protocol/byte-reader.ts'
import type { Disconnect } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { HandlerParts } from './parts.ts'

const SESSION_EXPIRY = 0x11
const NEVER = 0xffff_ffff

export function createDisconnectHandler({ closing, settings, table }: HandlerParts) {
  return (client: Client, { reasonCode, properties }: Disconnect): void => {
    const asked = properties.numbers.get(SESSION_EXPIRY)
    const { state } = client
    if (asked !== undefined && state !== null) {
      if (!state.isKept && asked > 0)
        throw new PacketFault('the session was to end with its connection', codes.protocolError) // [MQTT-3.14.2-2]
      const most = settings.sessionExpiryMaxSeconds
      const never = asked === NEVER ? null : asked
      table.agreeOnExpiry(state, most > 0 ? Math.min(asked, most) : never)
    }
    const will = reasonCode === codes.disconnectWithWill
    closing.close(client, { transport: 'in order', will, last: null })
  }
}
