// One handler for each packet that a client sends once its CONNECT was accepted.

import { PacketFault } from '../protocol/byte-reader.ts'
import { PINGRESP } from '../protocol/encode.ts'
import type { Connect, Incoming } from '../protocol/packets.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'
import { createDisconnectHandler } from './disconnect.ts'
import type { HandlerContext } from './handler-context.ts'
import { createPubackHandler } from './puback.ts'
import { createPubcompHandler } from './pubcomp.ts'
import { createPublishHandler } from './publish.ts'
import { createPubrecHandler } from './pubrec.ts'
import { createPubrelHandler } from './pubrel.ts'
import { createSubscribeHandler } from './subscribe.ts'
import { createUnsubscribeHandler } from './unsubscribe.ts'

export function createHandlers(parts: HandlerContext) {
  const publish = createPublishHandler(parts)
  const puback = createPubackHandler(parts)
  const pubrec = createPubrecHandler(parts)
  const pubrel = createPubrelHandler(parts)
  const pubcomp = createPubcompHandler(parts)
  const subscribe = createSubscribeHandler(parts)
  const unsubscribe = createUnsubscribeHandler(parts)
  const disconnect = createDisconnectHandler(parts)

  return (client: Client, packet: Exclude<Incoming, Connect>): void => {
    switch (packet.cmd) {
      case 'publish':
        publish(client, packet)
        break
      case 'puback':
        client.acknowledgedAt = client.heardAt
        puback(client, packet)
        break
      case 'pubrec':
        client.acknowledgedAt = client.heardAt
        pubrec(client, packet)
        break
      case 'pubrel':
        pubrel(client, packet)
        break
      case 'pubcomp':
        client.acknowledgedAt = client.heardAt
        pubcomp(client, packet)
        break
      case 'subscribe':
        subscribe(client, packet)
        break
      case 'unsubscribe':
        unsubscribe(client, packet)
        break
      case 'pingreq':
        parts.output.send(client, PINGRESP) // [MQTT-3.12.4-1]
        break
      case 'disconnect':
        disconnect(client, packet)
        break
      case 'auth':
        // CONNECT named no method, for one is answered by CONNACK 0x8C; DISCONNECT has no such code (§4.12).
        throw new PacketFault('no authentication method was agreed on', codes.protocolError)
    }
  }
}
