// A message reaches a session once, whatever number of its subscriptions match. aedes takes a lower number than the last for a second
// copy and drops it, though messages of different QoS overtake each other; and it lowers QoS for subscriptions without wildcards alone.
import type { AedesPublishPacket } from 'aedes'
import type { Inside } from './aedes-client.ts'
import type { StoredPacket } from './durable/stored-state.ts'
import { grantedQos } from './granted-qos.ts'
import type { SessionStore } from './session-store.ts'

type Deliver = Inside['deliverQoS']

/** All copies of a message come in one turn; in between come at most wills of those whom it makes close. */
const REMEMBERED = 8
const SHOWN_AT_ONCE = 100
const SHOWN_BYTES = 262_144
const MESSAGE_ID_MAX = 65_535

export function deliverOnce(client: Inside, store: Pick<SessionStore, 'outgoingShow'>): void {
  const { deliver0, deliverQoS } = client
  let showing = 0
  let showingBytes = 0

  function isSecond({ brokerCounter }: AedesPublishPacket): boolean {
    if ((client.session?.filters.size ?? 0) < 2) return false
    if (hasGot(client, brokerCounter)) return true
    client.got ??= { counters: [], at: 0 }
    client.got.counters[client.got.at] = brokerCounter
    client.got.at = (client.got.at + 1) % REMEMBERED
    return false
  }

  /** What it does not acknowledge it is sent again, as a live message. Some at once, for each waits for the disk. */
  function keepAndShow(packet: AedesPublishPacket, done: () => void): void {
    const { length } = packet.payload
    showing += 1
    showingBytes += length
    const isLast = showing >= SHOWN_AT_ONCE || showingBytes >= SHOWN_BYTES
    packet.messageId = client._nextId
    client._nextId = (client._nextId % MESSAGE_ID_MAX) + 1
    const show = () =>
      deliverQoS(packet, () => {
        showing -= 1
        showingBytes -= length
        if (isLast) done()
      })
    store.outgoingShow(client, packet as StoredPacket).then(show, show)
    if (!isLast) setImmediate(done)
  }

  /** The packet is this session's own. */
  function pass(packet: AedesPublishPacket, qos: 0 | 1 | 2, done: () => void): void {
    const { catchingUp } = client
    const isShown = packet.brokerId === null
    if (catchingUp !== undefined && !isShown) {
      // Nothing comes before CONNACK [MQTT-3.2.0-1].
      const waits = qos > 0 ? catchingUp.holds(packet) : !client.connackSent
      if (waits) return void setImmediate(done)
    }
    const own = packet as { qos: number; brokerId: string | null }
    own.qos = qos
    own.brokerId = null // so that aedes does not look for second copies
    if (isShown && qos > 0 && !client.clean) keepAndShow(packet, done)
    else if (qos > 0) deliverQoS(packet, done)
    else deliver0(packet, done)
  }

  // Of a retained message that is shown there is one copy, without a broker's name.
  const subscribed: Deliver = (packet, done) => {
    if (packet.brokerId !== null && isSecond(packet)) return void setImmediate(done)
    const { session } = client
    const most = session === undefined ? 0 : grantedQos(session, packet.topic)
    pass(packet, Math.min(packet.qos, most) as 0 | 1 | 2, done)
  }
  client.deliver0 = subscribed
  client.deliverQoS = subscribed
  client.deliverShared = (packet, done) => {
    if (isSecond(packet)) setImmediate(done)
    else pass(packet, packet.qos as 0 | 1 | 2, done)
  }
}

/** Whether another of its subscriptions brought it already. */
export function hasGot({ got }: Pick<Inside, 'got'>, brokerCounter: number): boolean {
  return got?.counters.includes(brokerCounter) ?? false
}
