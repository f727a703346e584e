// DISCONNECT (MQTT 5 §3.14): the client leaves in order, and its will is not sent [MQTT-3.14.4-3].
import type { Client } from '../connection/client.ts'
import type { Disconnect } from '../protocol/packets.ts'
import type { HandlerParts } from './parts.ts'

export function createDisconnectHandler({ closing }: HandlerParts) {
  return (client: Client, _packet: Disconnect): void =>
    closing.close(client, { transport: 'in order', will: false, last: null })
}
