// A broker that loses, doubles and swaps messages on purpose, and keeps exact count of what it did.
// Speaks just enough MQTT 3.1.1 over mutual TLS.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet'
import { createRandom } from '../../../device-sim/random.ts'

export type Mischief = { seed: number; lose: number; double: number; swap: number }
export type Truth = { received: number; lost: number; duplicated: number; reordered: number }
const CONNACK: Packet = { cmd: 'connack', returnCode: 0, sessionPresent: false }
type Server = { key: string; cert: string }
type Qos = 0 | 1 | 2
type Subscriber = {
  socket: TLSSocket
  filter: string
  qos: Qos
  seen: Map<string, { all: Set<number>; most: number }>
}

/** Who is `late` is let in once so many have subscribed: then all of a stream is owed to each of them. */
export type Order = { late(clientId: string): boolean; subscribers: number }

export async function startLossyBroker(server: Server, { seed, lose, double, swap }: Mischief, order: Order) {
  const random = createRandom(seed)
  const subscribers: Subscriber[] = []
  const sockets = new Set<TLSSocket>()
  const waiting: TLSSocket[] = []
  const sent = new Map<string, { qos: Qos; count: number }>()
  const truth: [Truth, Truth, Truth] = [nothing(), nothing(), nothing()]
  let lastId = 0

  function spread(packet: IPublishPacket): void {
    const [, stream = '', number = ''] = /rcs1 \w+ (\d+) (\d+) /.exec(packet.payload.toString()) ?? []
    const sequence = Number(number)
    sent.set(stream, { qos: packet.qos, count: sequence })
    const filters = subscribers.filter(({ filter }) => packet.topic.startsWith(filter.replace('#', '')))
    for (const subscriber of filters) {
      const chance = random()
      if (chance < lose) continue
      const give = (): void => deliver(subscriber, packet, stream, sequence)
      // What is held back comes after whatever is sent in the meantime.
      if (chance < lose + swap) setTimeout(give, 60)
      else give()
      if (chance > 1 - double) give()
    }
  }

  function deliver(subscriber: Subscriber, packet: IPublishPacket, stream: string, sequence: number): void {
    const qos = Math.min(packet.qos, subscriber.qos) as Qos
    const seen = subscriber.seen.get(stream) ?? { all: new Set(), most: 0 }
    subscriber.seen.set(stream, seen)
    const counts = truth[qos]
    counts.received++
    if (seen.all.has(sequence)) counts.duplicated++
    else if (sequence < seen.most) counts.reordered++
    seen.all.add(sequence)
    seen.most = Math.max(seen.most, sequence)
    lastId = (lastId % 65_535) + 1
    const { topic, payload } = packet
    subscriber.socket.write(
      generate({ cmd: 'publish', topic, payload, qos, dup: false, retain: false, messageId: lastId }),
    )
  }

  function answer(packet: Packet, socket: TLSSocket): Packet | null {
    const messageId = packet.messageId ?? 0
    switch (packet.cmd) {
      case 'connect':
        if (subscribers.length === order.subscribers || !order.late(packet.clientId)) return CONNACK
        waiting.push(socket)
        return null
      case 'subscribe':
        for (const { topic, qos } of packet.subscriptions) {
          subscribers.push({ socket, filter: topic, qos: qos as Qos, seen: new Map() })
        }
        if (subscribers.length === order.subscribers)
          for (const late of waiting.splice(0)) late.write(generate(CONNACK))
        return { cmd: 'suback', messageId, granted: packet.subscriptions.map(({ qos }) => qos as number) }
      case 'publish':
        // After its acknowledgement, as it would be with a broker that lets go of it.
        setImmediate(() => spread(packet))
        if (packet.qos === 0) return null
        return packet.qos === 1 ? { cmd: 'puback', messageId } : { cmd: 'pubrec', messageId }
      case 'pubrel':
        return { cmd: 'pubcomp', messageId }
      case 'pubrec':
        return { cmd: 'pubrel', messageId }
      default:
        return null
    }
  }

  const listener = createServer({ ...server, requestCert: true, rejectUnauthorized: false }, socket => {
    sockets.add(socket)
    const incoming = parser({ protocolVersion: 4 })
    incoming.on('packet', packet => {
      const reply = answer(packet, socket)
      if (reply) socket.write(generate(reply))
    })
    socket.setNoDelay(true)
    socket.on('data', (bytes: Buffer) => incoming.parse(bytes))
    socket.on('error', () => {})
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    url: `mqtts://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    /** By QoS of the delivery. Everybody subscribes before anybody publishes, so all of a stream is owed. */
    truth(): [Truth, Truth, Truth] {
      for (const counts of truth) counts.lost = 0
      for (const [stream, { qos, count }] of sent) {
        for (const subscriber of subscribers) {
          const given = subscriber.seen.get(stream)?.all.size ?? 0
          truth[Math.min(qos, subscriber.qos) as Qos].lost += count - given
        }
      }
      return truth
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}

function nothing(): Truth {
  return { received: 0, lost: 0, duplicated: 0, reordered: 0 }
}
