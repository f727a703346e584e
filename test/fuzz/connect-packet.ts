// CONNECT of a device as a step of the fuzz has it.
import type { IConnectPacket } from 'mqtt-packet'
import type { Step } from './commands.ts'

export function connectPacket(
  device: string,
  { clean, will, alias, five }: Extract<Step, { do: 'connect' }>,
): IConnectPacket {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: five ? 5 : 4,
    clientId: alias ? 'somebody-else' : device,
    clean,
    keepalive: 0,
    ...(five && {
      properties: { sessionExpiryInterval: five.expirySeconds, receiveMaximum: five.receiveMaximum },
    }),
    ...(will && {
      will: {
        topic: `devices/${device}/will`,
        payload: Buffer.from(`will of ${device}`),
        qos: 0,
        retain: false,
        ...(five && { properties: { willDelayInterval: five.willDelaySeconds } }),
      },
    }),
  } as IConnectPacket
}
