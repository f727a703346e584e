// Accepts CONNECT of a session that starts from nothing, clean or kept: the steps aedes takes, less those that only a stored
// session needs (restoring subscriptions, streaming a queue). They cost more than all the others together.
import type { Aedes, ConnectPacket } from 'aedes'
import type { Inside, Will } from './aedes-client.ts'
import { holdBack } from './catching-up.ts'
import type { Leavings } from './leavings.ts'
import type { SessionStore } from './session-store.ts'
import { holderOf, type Sessions } from './sessions.ts'
import type { Traffic } from './traffic.ts'

/** CONNACK, no session present, accepted (MQTT 3.1.1 §3.2.2). */
const ACCEPTED = Buffer.from([0x20, 0x02, 0x00, 0x00])

/**
 * The connection must be decided already. `done` is called when CONNACK is sent, or at once where the client is gone; with
 * true where there is a session to restore, which aedes does.
 */
export type AcceptFresh = (
  client: Inside,
  packet: ConnectPacket,
  done: (error: Error | null, restores: boolean) => void,
) => void

export function createFreshConnect(parts: {
  aedes: Aedes
  store: SessionStore
  sessions: Pick<Sessions, 'ofDevice'>
  leavings: Pick<Leavings, 'keepsSession'>
  traffic: Traffic
}): AcceptFresh {
  const { aedes, store, traffic } = parts

  /** Whether the device has no other connection, and left nothing. */
  function startsFromNothing(deviceId: string): boolean {
    return parts.sessions.ofDevice(deviceId).length === 1 && !store.keepsOf(deviceId)
  }

  return (client, packet, done) => {
    const will = (packet.will as Will | undefined) ?? null
    const failed = (error: Error) => done(error, false)
    if (packet.clean === false) {
      if (store.hasSession(packet.clientId)) restore(client, done)
      else {
        const begun = (restores: boolean) => (restores ? restore(client, done) : done(null, false))
        begin(client, packet, will).then(begun, failed)
      }
      return
    }
    take(client, packet)
    if (will === null && startsFromNothing(packet.clientId)) {
      aedes.registerClient(client)
      accept(client, null)
      process.nextTick(done, null, false) // aedes reads on, and may not while it is still handing out what it has read
    } else {
      forget(client, will).then(() => done(null, false), failed)
    }
  }

  function restore(client: Inside, done: Parameters<AcceptFresh>[2]): void {
    holdBack(client, store)
    done(null, true)
  }

  function take(client: Inside, { clientId, clean, protocolVersion, keepalive }: ConnectPacket): void {
    client.id = clientId
    client.clean = clean ?? true
    client.version = protocolVersion ?? 4
    client._authorized = true
    keepAlive(client, keepalive ?? 0)
  }

  async function forget(client: Inside, will: Will | null): Promise<void> {
    client.pause() // what comes behind CONNECT waits
    aedes.registerClient(client) // [MQTT-3.1.4-2]: ends an older connection of the same device, which then stores no more
    await store.purgeForGood(client.id) // [MQTT-3.1.2-6]
    if (will !== null && !client.closed) await store.putWill(client, will)
    if (client.closed) return
    accept(client, will)
    client.resume()
  }

  /**
   * A kept session exists from CONNACK on, empty or not (MQTT 3.1.1 §3.1.2.4). It waits for the disk but does not depend on
   * it: where nothing can be written the device is inside, with a session that its next SUBSCRIBE or QoS 2 has to begin.
   */
  async function begin(client: Inside, packet: ConnectPacket, will: Will | null): Promise<boolean> {
    client.pause()
    await store.beginning(packet.clientId) // by a connection that this one will end
    if (client.closed) return false
    if (store.hasSession(packet.clientId)) return true
    take(client, packet)
    if (client.session !== undefined) parts.leavings.keepsSession(holderOf(client.session))
    const kept = store.beginSession(client.id)
    aedes.registerClient(client)
    await kept.catch(() => {})
    // Of the clean session that it follows: whoever ended has stored what it was about to by now.
    await store.cleanIncoming({ id: client.id })
    if (will !== null && !client.closed) await store.putWill(client, will)
    if (client.closed) return false
    accept(client, will)
    client.resume()
    return false
  }

  function accept(client: Inside, will: Will | null): void {
    client.will = will
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
