// Accepts CONNECT of a session that starts from nothing: the steps aedes takes, less those that only a stored session
// needs (restoring subscriptions, streaming a queue). They cost more than all the others together.
import type { Aedes, ConnectPacket } from 'aedes'
import type { Inside, Will } from './aedes-client.ts'
import type { SessionStore } from './session-store.ts'
import type { Sessions } from './sessions.ts'
import type { Traffic } from './traffic.ts'

/** CONNACK, no session present, accepted (MQTT 3.1.1 §3.2.2). */
const ACCEPTED = Buffer.from([0x20, 0x02, 0x00, 0x00])

/** The connection must be decided already. `done` is called when CONNACK is sent, or at once where the client is gone. */
export type AcceptClean = (client: Inside, packet: ConnectPacket, done: (error: Error | null) => void) => void

export function createCleanConnect(parts: {
  aedes: Aedes
  store: SessionStore
  sessions: Pick<Sessions, 'ofDevice'>
  traffic: Traffic
}): AcceptClean {
  const { aedes, store, traffic } = parts

  /** Whether the device has no other connection, and left nothing. */
  function startsFromNothing(deviceId: string): boolean {
    return parts.sessions.ofDevice(deviceId).length === 1 && !store.keepsOf(deviceId)
  }

  return (client, packet, done) => {
    client.id = packet.clientId
    client.clean = true
    client.version = packet.protocolVersion ?? 4
    client._authorized = true
    keepAlive(client, packet.keepalive ?? 0)
    const will = (packet.will as Will | undefined) ?? null
    if (will === null && startsFromNothing(packet.clientId)) {
      accept(client, null)
      process.nextTick(done, null) // aedes reads on, and may not while it is still handing out what it has read
    } else {
      forget(client, will).then(() => done(null), done)
    }
  }

  async function forget(client: Inside, will: Will | null): Promise<void> {
    await store.purge(client.id) // [MQTT-3.1.2-6]
    if (will !== null && !client.closed) await store.putWill(client, will)
    if (!client.closed) accept(client, will)
  }

  function accept(client: Inside, will: Will | null): void {
    client.will = will
    aedes.registerClient(client) // [MQTT-3.1.4-2]: ends an older connection of the same device
    client.conn.write(ACCEPTED)
    traffic.packetsSent += 1
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
