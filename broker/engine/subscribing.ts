// SUBSCRIBE and UNSUBSCRIBE as the standard has them: one after the other where they come at once, and every filter answered. aedes
// works at all packets of one write together, and answers a filter that is named twice but once.
import type { Aedes } from 'aedes'
import type { Inside, Packet } from './aedes-client.ts'

type Asked = { messageId: number; subscriptions: { topic: string; qos: number }[] }

/** Of one kind at a time; what is of the other waits. */
type Work = { kind: string; unfinished: number; waiting: Packet[] }

const WAITING_MAX = 1_000
const REFUSED = 0x80
const SUBACK = 0x90

/** Ours to answer, found by the last of their subscriptions. */
const repeated = new WeakMap<object, Asked>()
const works = new WeakMap<object, Work>()

export function subscribeInOrder(client: Inside): void {
  const { _parser } = client
  const [handle] = _parser.listeners('packet')
  _parser.removeAllListeners('packet')
  _parser.on('packet', packet => {
    if (packet.cmd === 'subscribe') noteRepeated(packet)
    if (packet.cmd !== 'subscribe' && packet.cmd !== 'unsubscribe') return void handle?.call(_parser, packet)
    const work = works.get(client) ?? { kind: packet.cmd, unfinished: 0, waiting: [] }
    works.set(client, work)
    if (work.unfinished > 0 && (work.kind !== packet.cmd || work.waiting.length > 0)) {
      if (work.waiting.push(packet) > WAITING_MAX) client.emit('error', new Error('too many packets at once'))
      return
    }
    begin(work, packet)
  })

  function begin(work: Work, packet: Packet): void {
    work.kind = packet.cmd
    work.unfinished += 1
    handle?.call(_parser, packet)
  }

  client.subscribingDone = () => {
    const work = works.get(client)
    if (work === undefined || client.closed) return
    work.unfinished = Math.max(0, work.unfinished - 1)
    if (work.unfinished > 0) return
    const kind = work.waiting[0]?.cmd
    while (kind !== undefined && work.waiting[0]?.cmd === kind) begin(work, work.waiting.shift()!)
    if (work.unfinished === 0) works.delete(client)
  }
}

/** Once for all clients. */
export function answerSubscribers(aedes: Aedes): void {
  aedes.on('subscribe', (subscriptions, client) => {
    const inside = client as Inside
    for (const subscription of subscriptions) {
      const asked = repeated.get(subscription)
      if (asked !== undefined) answer(inside, asked, subscriptions)
    }
    inside.subscribingDone?.()
  })
  aedes.on('unsubscribe', (_, client) => (client as Inside).subscribingDone?.())
}

/** Without its identifier aedes does not answer it. */
function noteRepeated(packet: Packet): void {
  const { messageId = 0, subscriptions = [] } = packet
  const last = subscriptions.at(-1)
  if (last === undefined || new Set(subscriptions.map(({ topic }) => topic)).size === subscriptions.length)
    return
  repeated.set(last, { messageId, subscriptions: subscriptions.map(one => ({ ...one })) })
  delete packet.messageId
}

/** As for a SUBSCRIBE of its own for each filter [MQTT-3.8.4-4] [MQTT-3.8.4-5]. */
function answer({ conn, closed }: Inside, asked: Asked, granted: { topic: string; qos: number }[]): void {
  if (closed) return
  const refused = new Set(granted.filter(({ qos }) => qos === REFUSED).map(({ topic }) => topic))
  const codes = asked.subscriptions.map(({ topic, qos }) => (refused.has(topic) ? REFUSED : qos))
  const head = [SUBACK, ...lengthOf(2 + codes.length), asked.messageId >> 8, asked.messageId & 0xff]
  conn.cork() // that is how packets are counted
  conn.write(Buffer.from([...head, ...codes]))
  conn.uncork()
}

/** Remaining length (MQTT 3.1.1 §2.2.3). */
function lengthOf(bytes: number): number[] {
  return bytes < 128 ? [bytes] : [(bytes & 0x7f) | 0x80, ...lengthOf(bytes >> 7)]
}
