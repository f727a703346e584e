// A broker that loses, doubles and swaps messages on purpose, and in version 5 refuses them, alters their properties and
// lies about their expiry; it keeps exact count of what it did. Speaks just enough MQTT over mutual TLS.
import { EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { generate, type IPublishPacket, type Packet } from 'mqtt-packet'
import { createRandom } from '../../../device-sim/random.ts'
import { eachFrame, type FrameSections, publishFrame, sectionsOf } from './frames.ts'

export type Mischief = {
  seed: number
  lose: number
  double: number
  swap: number
  /** Version 5 alone. */
  refuse?: number
  alter?: number
  misdate?: number
}
export type Truth = Record<(typeof counted)[number], number>
const counted = ['received', 'lost', 'duplicated', 'reordered', 'refused', 'altered', 'expired'] as const

const ALIASES = 4
type Server = { key: string; cert: string }
type Qos = 0 | 1 | 2
type Client = {
  socket: TLSSocket
  version: number
  /** What stands for a topic, each way. */
  aliasMax: number
  given: Map<string, number>
  taken: Map<number, string>
}
type Subscriber = {
  client: Client
  filter: string
  qos: Qos
  seen: Map<string, { all: Set<number>; most: number }>
}

/** A `late` client is let in once so many have subscribed: then all of a stream is owed to each of them. */
export type Order = { late(clientId: string): boolean; subscribers: number }

export async function startLossyBroker(server: Server, mischief: Mischief, order: Order) {
  const { seed, lose, double, swap, refuse = 0, alter = 0, misdate = 0 } = mischief
  const random = createRandom(seed)
  const subscribers: Subscriber[] = []
  const sockets = new Set<TLSSocket>()
  const waiting: Client[] = []
  const sent = new Map<string, { qos: Qos; count: number; refused: number }>()
  const truth: [Truth, Truth, Truth] = [nothing(), nothing(), nothing()]
  const given = new EventEmitter()
  const reasons: Record<string, number> = {}
  let lastId = 0

  function say(client: Client, packet: Packet): void {
    client.socket.write(generate(packet, { protocolVersion: client.version }))
  }

  function reason(packet: string, code: number): number {
    const name = `${packet}_0x${code.toString(16).toUpperCase().padStart(2, '0')}`
    reasons[name] = (reasons[name] ?? 0) + 1
    return code
  }

  function note(packet: IPublishPacket, taken: boolean): { stream: string; sequence: number } {
    const [, stream = '', number = ''] = /rcs[12] \w+ (\d+) (\d+) /.exec(packet.payload.toString()) ?? []
    const sequence = Number(number)
    const known = sent.get(stream) ?? { qos: packet.qos, count: 0, refused: 0 }
    sent.set(stream, { ...known, count: sequence, refused: known.refused + (taken ? 0 : 1) })
    return { stream, sequence }
  }

  function spread(topic: string, packet: IPublishPacket, parts: FrameSections | null): void {
    const { stream, sequence } = note(packet, true)
    for (const subscriber of subscribers.filter(({ filter }) => topic.startsWith(filter.replace('#', '')))) {
      const chance = random()
      if (chance < lose) continue
      const give = (): void => deliver(subscriber, topic, packet, parts, stream, sequence)
      // What is held back comes after whatever is sent in the meantime.
      if (chance < lose + swap) setTimeout(give, 60)
      else give()
      if (chance > 1 - double) give()
    }
  }

  function deliver(
    { client, seen, ...subscriber }: Subscriber,
    topic: string,
    packet: IPublishPacket,
    parts: FrameSections | null,
    stream: string,
    sequence: number,
  ): void {
    const qos = Math.min(packet.qos, subscriber.qos) as Qos
    const known = seen.get(stream) ?? { all: new Set(), most: 0 }
    seen.set(stream, known)
    const counts = truth[qos]
    counts.received++
    given.emit('message')
    if (known.all.has(sequence)) counts.duplicated++
    else if (sequence < known.most) counts.reordered++
    known.all.add(sequence)
    known.most = Math.max(known.most, sequence)
    lastId = (lastId % 65_535) + 1
    const payload = Buffer.from(packet.payload)
    const own = client.version === 5 ? tampered(parts ?? none(), counts) : null
    const named = own ? aliased(client, topic, own) : { topic, parts: null }
    client.socket.write(publishFrame({ ...named, payload, qos, messageId: lastId }))
  }

  function tampered(parts: FrameSections, counts: Truth): FrameSections {
    const own = { ...parts, alias: 0 }
    const chance = random()
    if (own.others.length > 0 && chance < alter) {
      counts.altered++
      if (chance < alter / 3) return { ...own, expirySeconds: null }
      if (chance < alter / 2) return { ...own, utf8: !own.utf8 }
      // The last user property is named as the one two before: they change places.
      const others = Buffer.from(own.others)
      const [first = 0, last = 0] = [others.at(-15), others.at(-1)]
      others[others.length - 15] = last
      others[others.length - 1] = first
      return { ...own, others }
    }
    if (own.expirySeconds !== null && chance > 1 - misdate) {
      counts.expired++
      return { ...own, expirySeconds: own.expirySeconds - 10 }
    }
    return own
  }

  function aliased(
    { given, aliasMax }: Client,
    topic: string,
    parts: FrameSections,
  ): { topic: string; parts: FrameSections } {
    const known = given.get(topic)
    if (known) return { topic: '', parts: { ...parts, alias: known } }
    if (given.size >= aliasMax) return { topic, parts }
    given.set(topic, given.size + 1)
    return { topic, parts: { ...parts, alias: given.size } }
  }

  function welcome(client: Client): void {
    if (client.version === 5) reason('connack', 0)
    const v5 = { reasonCode: 0, properties: { receiveMaximum: 30, topicAliasMaximum: ALIASES } }
    say(client, {
      cmd: 'connack',
      returnCode: 0,
      sessionPresent: false,
      ...(client.version === 5 ? v5 : {}),
    })
  }

  function published(client: Client, packet: IPublishPacket, frame: Buffer): void {
    const { qos, messageId = 0 } = packet
    const v5 = client.version === 5
    const parts = v5 ? sectionsOf(frame, qos) : null
    const refused = v5 && qos > 0 && random() < refuse
    const code = refused ? 0x97 : v5 && random() < 0.2 ? 0x10 : 0
    const cmd = qos === 1 ? 'puback' : 'pubrec'
    if (qos > 0) {
      if (v5) reason(cmd, code)
      say(client, { cmd, messageId, ...(v5 ? { reasonCode: code } : {}) })
    }
    let { topic } = packet
    if (parts && parts.alias > 0) {
      if (parts.alias > ALIASES) throw new Error('an alias beyond those allowed')
      if (topic !== '') client.taken.set(parts.alias, topic)
      topic = client.taken.get(parts.alias) ?? ''
    }
    if (refused) {
      truth[qos].refused++
      note(packet, false)
      // After its acknowledgement, as it would be with a broker that lets go of it.
    } else setImmediate(() => spread(topic, packet, parts))
  }

  function hear(client: Client, packet: Packet, frame: Buffer): void {
    const messageId = packet.messageId ?? 0
    switch (packet.cmd) {
      case 'connect':
        client.version = packet.protocolVersion ?? 4
        client.aliasMax = packet.properties?.topicAliasMaximum ?? 0
        if (subscribers.length === order.subscribers || !order.late(packet.clientId)) welcome(client)
        else waiting.push(client)
        return
      case 'subscribe':
        for (const { topic, qos } of packet.subscriptions) {
          subscribers.push({ client, filter: topic, qos: qos as Qos, seen: new Map() })
          if (client.version === 5) reason('suback', qos)
        }
        if (subscribers.length === order.subscribers) for (const late of waiting.splice(0)) welcome(late)
        say(client, { cmd: 'suback', messageId, granted: packet.subscriptions.map(({ qos }) => qos) })
        return
      case 'publish':
        published(client, packet, frame)
        return
      case 'pubrel':
        say(client, { cmd: 'pubcomp', messageId })
        return
      case 'pubrec':
        say(client, { cmd: 'pubrel', messageId })
    }
  }

  const listener = createServer({ ...server, requestCert: true, rejectUnauthorized: false }, socket => {
    sockets.add(socket)
    const client = { socket, version: 4, aliasMax: 0, given: new Map(), taken: new Map() }
    eachFrame(socket, (packet, frame) => hear(client, packet, frame))
    socket.setNoDelay(true)
    socket.on('error', () => {})
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    url: `mqtts://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    /** Of version 5. */
    reasons,
    /** Resolves once so many messages have been given to subscribers at each QoS. */
    async gave(count: number): Promise<void> {
      while (truth.some(({ received }) => received < count)) await once(given, 'message')
    },
    /** By QoS of the delivery. Everybody subscribes before anybody publishes, so all that was taken is owed. */
    truth(): [Truth, Truth, Truth] {
      for (const counts of truth) counts.lost = 0
      for (const [stream, { qos, count, refused }] of sent) {
        for (const subscriber of subscribers) {
          const given = subscriber.seen.get(stream)?.all.size ?? 0
          truth[Math.min(qos, subscriber.qos) as Qos].lost += count - refused - given
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

/** The counts that both sides keep. */
export function countedOf(traffic: Readonly<Truth>): Truth {
  return Object.fromEntries(counted.map(name => [name, traffic[name]])) as Truth
}

function nothing(): Truth {
  return { received: 0, lost: 0, duplicated: 0, reordered: 0, refused: 0, altered: 0, expired: 0 }
}

function none(): FrameSections {
  return { expirySeconds: null, alias: 0, utf8: false, others: Buffer.alloc(0) }
}
