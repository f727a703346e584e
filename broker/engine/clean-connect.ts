// Accepts CONNECT of a session that starts from nothing: the steps aedes takes, less those that only a stored session
// needs (restoring subscriptions, streaming a queue). They cost more than all the others together.
import type { Aedes, ConnectPacket } from 'aedes'
import type { Inside, Will } from './aedes-client.ts'
import type { SessionStore } from './session-store.ts'

/** CONNACK, no session present, accepted (MQTT 3.1.1 §3.2.2). */
const ACCEPTED = Buffer.from([0x20, 0x02, 0x00, 0x00])

export type AcceptClean = (client: Inside, packet: ConnectPacket) => Promise<void>

/** The connection must be decided already. Resolves when CONNACK is sent, or at once where the client is gone. */
export function createCleanConnect(aedes: Aedes, store: SessionStore): AcceptClean {
  return async (client, packet) => {
    client.id = packet.clientId
    client.clean = true
    client.version = packet.protocolVersion ?? 4
    client._authorized = true
    keepAlive(client, packet.keepalive ?? 0)
    await store.purge(packet.clientId) // [MQTT-3.1.2-6]
    const will = (packet.will as Will | undefined) ?? null
    if (will !== null && !client.closed) await store.putWill(client, will)
    if (client.closed) return
    client.will = will
    aedes.registerClient(client) // [MQTT-3.1.4-2]: ends an older connection of the same device
    client.conn.write(ACCEPTED)
    client.connackSent = true
    client.connected = true
    aedes.emit('clientReady', client)
    client.emit('connected') // packets that came behind CONNECT are handled now
  }

  /** [MQTT-3.1.2-24] */
  function keepAlive(client: Inside, seconds: number): void {
    if (seconds === 0) return
    client._keepaliveInterval = seconds * 1_500 + 1
    client._keepaliveTimer = setTimeout(() => {
      aedes.emit('keepaliveTimeout', client)
      client.emit('error', new Error('keep alive timeout'))
    }, client._keepaliveInterval)
  }
}
