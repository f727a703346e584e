// What CONNACK of version 5 tells beside (§3.2.2.3): bounds that are announced are not hit.
import type { IConnackPacket } from 'mqtt-packet'
import type { BrokerSettings } from '../../settings/validation.ts'
import { TOPIC_ALIASES_MAX } from '../connection/client.ts'
import type { Connect } from '../protocol/packets.ts'
import type { Client, SessionState } from '../state.ts'
import { NEVER } from './session-expiry.ts'

const REQUEST_RESPONSE_INFORMATION = 0x19

export function connackProperties(
  { session, announced, sessionExpiryAsked }: Client,
  state: SessionState,
  packet: Connect,
  keepAliveSeconds: number,
  settings: BrokerSettings,
): IConnackPacket['properties'] {
  const { deviceId } = session.identity
  const { qosMax, retains } = announced
  const given = state.isKept ? (state.expirySeconds ?? NEVER) : 0
  const responses = `devices/${deviceId}/responses`
  return {
    ...(given !== sessionExpiryAsked && { sessionExpiryInterval: given }),
    receiveMaximum: settings.inflightInboundMax,
    ...(qosMax < 2 && { maximumQoS: qosMax }),
    ...(!retains && { retainAvailable: false }),
    maximumPacketSize: settings.packetBytesMax,
    ...(packet.clientId === '' && { assignedClientIdentifier: deviceId }),
    topicAliasMaximum: TOPIC_ALIASES_MAX,
    ...(keepAliveSeconds !== packet.keepAliveSeconds && { serverKeepAlive: keepAliveSeconds }),
    ...(packet.properties.numbers.get(REQUEST_RESPONSE_INFORMATION) === 1 &&
      session.rights.subscribe(`${responses}/#`) && { responseInformation: responses }),
  } as IConnackPacket['properties']
}
