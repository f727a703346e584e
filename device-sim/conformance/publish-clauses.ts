// Clauses of PUBLISH, its acknowledgements, retained messages and delivery. MQTT 3.1.1 §2.2, §3.3 to §3.7, §4.3 to §4.6; MQTT 5 likewise.
import type { Clause } from './clause.ts'
import { closing, rawPublish } from './raw-packets.ts'
import { equal, holds, lose, nextId, publish, receive, receiveAll, subscribe, type Trial } from './trial.ts'

const both = (id: string): Clause['id'] => ({ 4: id, 5: id })
const keep = { clean: false, properties: { sessionExpiryInterval: 60 } }

export const publishClauses: Clause[] = [
  closing(both('MQTT-3.3.1-4'), 'a PUBLISH of QoS 3', trial =>
    rawPublish(trial, { first: 0x36, messageId: [0, 1] }),
  ),
  closing(both('MQTT-3.3.2-2'), 'a wildcard in a topic name', trial =>
    rawPublish(trial, { topic: `${trial.base}/+` }),
  ),
  closing(both('MQTT-4.7.3-1'), 'an empty topic name', trial => rawPublish(trial, { topic: '' })),
  closing({ 4: 'MQTT-4.7.3-2', 5: 'MQTT-4.7.3-2' }, 'U+0000 in a topic name', trial =>
    rawPublish(trial, { topic: `${trial.base}/\0` }),
  ),
  closing({ 4: 'MQTT-3.3.2-1', 5: 'MQTT-3.3.2-1' }, 'a topic name that is not UTF-8', trial =>
    rawPublish(trial, {
      topic: Buffer.concat([Buffer.from(trial.base), Buffer.from([0x2f, 0xed, 0xa0, 0x80])]),
    }),
  ),
  closing({ 4: 'MQTT-2.3.1-1', 5: 'MQTT-2.2.1-3' }, 'a PUBLISH of QoS 1 with packet ID 0', trial =>
    rawPublish(trial, { first: 0x32, messageId: [0, 0] }),
  ),
  closing(both('MQTT-3.6.1-1'), 'a PUBREL with the wrong flags', () => [0x60, 2, 0, 1]),
  closing({ 4: 'MQTT-2.2.2-2', 5: 'MQTT-2.1.3-1' }, 'a PINGREQ with flags', () => [0xc1, 0]),
  closing({ 4: '§2.2.3', 5: '§1.5.5' }, 'a remaining length of five octets', () => [
    0x30, 0xff, 0xff, 0xff, 0xff, 0x7f,
  ]),
  closing({ 4: 'MQTT-4.8.0-1', 5: 'MQTT-4.13.1-1' }, 'a packet that only a server sends', () => [0xd0, 0]),
  closing({ 4: '§2.2.1', 5: '§2.1.2' }, 'the reserved packet type 0', () => [0x00, 0]),
  {
    id: both('MQTT-4.3.1-1'),
    what: 'a message of QoS 0 is delivered as QoS 0',
    play: trial => deliversAt(trial, 0, 0),
  },
  {
    id: { 4: 'MQTT-3.3.4-1', 5: 'MQTT-3.3.4-1' },
    what: 'QoS 1 is answered by PUBACK with its packet ID, and delivered',
    play: trial => deliversAt(trial, 1, 1),
  },
  {
    id: { 4: 'MQTT-4.3.3-2', 5: 'MQTT-4.3.3-8' },
    what: 'QoS 2 is answered by PUBREC and PUBCOMP with its packet ID, and delivered',
    play: trial => deliversAt(trial, 2, 2),
  },
  {
    id: { 4: 'MQTT-3.8.4-6', 5: 'MQTT-3.8.4-8' },
    what: 'the QoS of a delivery is the lower of message and subscription',
    async play(trial) {
      await deliversAt(trial, 2, 1)
      await deliversAt(trial, 1, 0)
      await deliversAt(trial, 0, 2)
    },
  },
  {
    id: { 4: 'MQTT-4.3.3-2', 5: 'MQTT-4.3.3-10' },
    what: 'a QoS 2 message that is sent again before PUBREL is delivered once',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 0)
      const messageId = nextId()
      const packet = {
        cmd: 'publish',
        topic: `${trial.base}/a`,
        payload: 'x',
        qos: 2,
        retain: false,
        messageId,
      } as const
      peer.send({ ...packet, dup: false })
      await peer.expect('pubrec')
      peer.send({ ...packet, dup: true })
      equal((await peer.expect('pubrec')).messageId, messageId, 'the packet ID of PUBREC')
      peer.send({ cmd: 'pubrel', messageId })
      await peer.expect('pubcomp')
      equal((await receiveAll(peer, trial)).length, 1, 'deliveries')
    },
  },
  {
    id: { 4: 'MQTT-4.3.3-2', 5: 'MQTT-4.3.3-11' },
    what: 'a PUBREL is answered by PUBCOMP, also where its packet ID is not known',
    async play(trial) {
      const { peer } = await trial.connect()
      peer.send({ cmd: 'pubrel', messageId: 4_711 })
      equal((await peer.expect('pubcomp')).messageId, 4_711, 'the packet ID')
    },
  },
  {
    id: both('MQTT-3.3.1-3'),
    what: 'the DUP flag of an incoming message is not handed on',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 1)
      await publish(peer, `${trial.base}/a`, 'x', { qos: 1, dup: true })
      equal((await receive(peer)).packet.dup, false, 'DUP')
    },
  },
  {
    id: { 4: 'MQTT-4.6.0-6', 5: 'MQTT-4.6.0-5' },
    what: 'messages of one QoS and topic arrive in their order',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 1)
      const sent = Array.from({ length: 20 }, (_, index) => String(index))
      for (const payload of sent) await publish(peer, `${trial.base}/a`, payload, { qos: 1 })
      const got: string[] = []
      while (got.length < sent.length) got.push((await receive(peer)).payload)
      equal(got, sent, 'the order')
    },
  },
  {
    id: { 4: 'MQTT-4.4.0-1', 5: 'MQTT-4.4.0-1' },
    what: 'a message that was not acknowledged is sent again on reconnect, with DUP',
    async play(trial) {
      const { peer } = await trial.connect(keep)
      await subscribe(peer, `${trial.base}/a`, 1)
      await publish(peer, `${trial.base}/a`, 'x', { qos: 1 })
      const { messageId } = await peer.expect('publish')
      await lose(peer)
      const { peer: later } = await trial.connect(keep)
      const again = await later.expect('publish')
      equal([String(again.payload), again.dup, again.messageId], ['x', true, messageId], 'the message')
    },
  },
  {
    id: { 4: 'MQTT-3.1.2-5', 5: 'MQTT-4.5.0-1' },
    what: 'QoS 1 messages for a client that is away are kept in its session',
    async play(trial) {
      const { peer } = await trial.connect(keep)
      await subscribe(peer, `${trial.base}/a`, 1)
      await peer.leave()
      // Nobody else may be let in here, so its own will is the message.
      const will = { topic: `${trial.base}/a`, payload: Buffer.from('kept'), qos: 1 as const, retain: false }
      const { peer: again } = await trial.connect({ ...keep, will })
      await lose(again)
      const { peer: later } = await trial.connect(keep)
      equal((await receive(later)).payload, 'kept', 'the message')
    },
  },
  {
    id: { 4: 'MQTT-3.1.2-6', 5: 'MQTT-3.1.2-4' },
    what: 'a clean session discards subscriptions and messages',
    async play(trial) {
      const { peer } = await trial.connect(keep)
      await subscribe(peer, `${trial.base}/a`, 1)
      await peer.leave()
      const { peer: clean } = await trial.connect()
      await publish(clean, `${trial.base}/a`, 'x', { qos: 1 })
      equal((await receiveAll(clean, trial)).length, 0, 'deliveries')
    },
  },
  {
    id: { 4: 'MQTT-3.3.1-6', 5: '§3.3.1.3' },
    what: 'a new subscription gets the retained message, marked as such',
    async play(trial) {
      const { peer } = await trial.connect()
      await retained(trial, peer, 'kept')
      await subscribe(peer, `${trial.base}/r`, 1)
      const { payload, packet } = await receive(peer)
      equal([payload, packet.retain], ['kept', true], 'the retained message')
      await publish(peer, `${trial.base}/r`, '', { retain: true, qos: 1 })
    },
  },
  {
    id: { 4: 'MQTT-3.3.1-9', 5: 'MQTT-3.3.1-12' },
    what: 'an established subscription gets retained messages without the flag',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/r`, 1)
      await publish(peer, `${trial.base}/r`, 'live', { retain: true, qos: 1 })
      equal((await receive(peer)).packet.retain, false, 'the retain flag')
      await publish(peer, `${trial.base}/r`, '', { retain: true, qos: 1 })
    },
  },
  {
    id: { 4: 'MQTT-3.3.1-10', 5: 'MQTT-3.3.1-6' },
    what: 'an empty retained message removes the one before',
    async play(trial) {
      const { peer } = await trial.connect()
      await retained(trial, peer, 'kept')
      await publish(peer, `${trial.base}/r`, '', { retain: true, qos: 1 })
      await subscribe(peer, `${trial.base}/r`, 1)
      equal((await receiveAll(peer, trial)).length, 0, 'retained messages')
    },
  },
  {
    id: { 4: 'MQTT-3.3.1-12', 5: 'MQTT-3.3.1-8' },
    what: 'a message without retain does not replace the retained one',
    async play(trial) {
      const { peer } = await trial.connect()
      await retained(trial, peer, 'kept')
      await publish(peer, `${trial.base}/r`, 'other', { qos: 1 })
      await subscribe(peer, `${trial.base}/r`, 1)
      const got = (await receiveAll(peer, trial)).map(({ payload }) => payload)
      equal(got, ['kept'], 'the retained message')
      await publish(peer, `${trial.base}/r`, '', { retain: true, qos: 1 })
    },
  },
]

async function deliversAt(trial: Trial, sent: 0 | 1 | 2, subscribed: 0 | 1 | 2): Promise<void> {
  const { peer } = await trial.connect()
  const topic = `${trial.base}/q${sent}${subscribed}`
  const [granted = 0] = await subscribe(peer, topic, subscribed)
  holds(granted <= subscribed, `QoS ${granted} is granted, and ${subscribed} was asked for`)
  await publish(peer, topic, 'x', { qos: sent })
  const { payload, packet } = await receive(peer)
  equal([payload, packet.qos], ['x', Math.min(sent, granted)], 'the message')
  await peer.leave()
}

async function retained(trial: Trial, peer: Parameters<typeof publish>[0], payload: string): Promise<void> {
  await publish(peer, `${trial.base}/r`, payload, { retain: true, qos: 1 })
}
