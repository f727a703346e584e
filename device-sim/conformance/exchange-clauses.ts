// Clauses of whole exchanges: packet IDs used again, deliveries of QoS 2 resumed, topics and payloads as they were sent, packets in pieces.
// MQTT 3.1.1 §1.5, §4.2 to §4.7; MQTT 5 likewise.
import { setTimeout as sleep } from 'node:timers/promises'
import { generate, type IPublishPacket } from 'mqtt-packet'
import type { Clause } from './clause.ts'
import { ClauseFailed } from './peer.ts'
import { equal, holds, lose, nextId, publish, receive, receiveAll, subscribe, type Trial } from './trial.ts'

const both = (id: string): Clause['id'] => ({ 4: id, 5: id })
const only = (id: string): Clause['id'] => ({ 5: id })
const keep = { clean: false, properties: { sessionExpiryInterval: 60 } }

/** A session that lost its connection while a QoS 2 delivery was under way. */
async function resumedQos2(trial: Trial, answerRec: boolean) {
  const { peer } = await trial.connect(keep)
  await subscribe(peer, `${trial.base}/a`, 2)
  await publish(peer, `${trial.base}/a`, 'x', { qos: 1 })
  await publish(peer, `${trial.base}/a`, 'y', { qos: 2 })
  await receive(peer)
  const { messageId = 0 } = await peer.expect('publish')
  if (answerRec) {
    peer.send({ cmd: 'pubrec', messageId })
    equal((await peer.expect('pubrel')).messageId, messageId, 'the packet ID of PUBREL')
  }
  await lose(peer)
  const { peer: later } = await trial.connect(keep)
  return { later, messageId }
}

/** What a filter of everything below `base` gets for this topic: the topic, character by character. */
const keepsTopic = (id: Clause['id'], what: string, level: string): Clause => ({
  id,
  what,
  async play(trial) {
    const { peer } = await trial.connect()
    await subscribe(peer, `${trial.base}/t/#`, 1)
    await publish(peer, `${trial.base}/t/${level}`, 'x', { qos: 1 })
    equal((await receive(peer)).topic, `${trial.base}/t/${level}`, 'the topic')
  },
})

export const exchangeClauses: Clause[] = [
  {
    id: { 4: 'MQTT-4.3.2-2', 5: 'MQTT-4.3.2-5' },
    what: 'after PUBACK a PUBLISH with the same packet ID is a new message',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 0)
      for (const dup of [false, true]) {
        const packet = {
          cmd: 'publish',
          topic: `${trial.base}/a`,
          payload: 'x',
          qos: 1,
          retain: false,
        } as const
        peer.send({ ...packet, dup, messageId: 9 })
        equal((await peer.expect('puback')).messageId, 9, 'the packet ID of PUBACK')
      }
      equal((await receiveAll(peer, trial)).length, 2, 'deliveries')
    },
  },
  {
    id: { 4: 'MQTT-4.3.3-2', 5: 'MQTT-4.3.3-12' },
    what: 'after PUBCOMP a PUBLISH with the same packet ID is a new message',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 0)
      for (let turn = 0; turn < 2; turn++) {
        const packet = {
          cmd: 'publish',
          topic: `${trial.base}/a`,
          payload: 'x',
          qos: 2,
          retain: false,
        } as const
        peer.send({ ...packet, dup: false, messageId: 9 })
        await peer.expect('pubrec')
        peer.send({ cmd: 'pubrel', messageId: 9 })
        await peer.expect('pubcomp')
      }
      equal((await receiveAll(peer, trial)).length, 2, 'deliveries')
    },
  },
  {
    id: { 4: 'MQTT-4.3.3-1', 5: 'MQTT-4.3.3-4' },
    what: 'PUBREC is answered by PUBREL with the same packet ID',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 2)
      await publish(peer, `${trial.base}/a`, 'x', { qos: 2 })
      const { messageId = 0 } = await peer.expect('publish')
      peer.send({ cmd: 'pubrec', messageId })
      equal((await peer.expect('pubrel')).messageId, messageId, 'the packet ID of PUBREL')
      peer.send({ cmd: 'pubcomp', messageId })
    },
  },
  {
    id: both('MQTT-4.4.0-1'),
    what: 'a PUBREL that was not answered is sent again on reconnect, with its packet ID',
    async play(trial) {
      const { later, messageId } = await resumedQos2(trial, true)
      equal((await later.expect('pubrel')).messageId, messageId, 'the packet ID of PUBREL')
      later.send({ cmd: 'pubcomp', messageId })
    },
  },
  {
    id: both('MQTT-4.4.0-1'),
    what: 'a message of QoS 2 without PUBREC is sent again on reconnect, with DUP and its packet ID',
    async play(trial) {
      const { later, messageId } = await resumedQos2(trial, false)
      const again = await later.expect('publish')
      equal([String(again.payload), again.dup, again.messageId], ['y', true, messageId], 'the message')
    },
  },
  {
    id: { 4: 'MQTT-3.3.5-1', 5: 'MQTT-3.3.4-2' },
    what: 'where filters overlap, a message comes with the highest QoS of them',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/o/#`, 0)
      await subscribe(peer, `${trial.base}/o/a`, 1)
      await publish(peer, `${trial.base}/o/a`, 'x', { qos: 1 })
      const got = (await receiveAll(peer, trial)).map(({ packet }) => packet.qos)
      equal(Math.max(-1, ...got), 1, 'the highest QoS received')
    },
  },
  {
    id: { 4: 'MQTT-3.3.1-7', 5: 'MQTT-3.3.1-5' },
    what: 'a retained message of QoS 0 discards the one before',
    async play(trial) {
      const { peer } = await trial.connect()
      await publish(peer, `${trial.base}/r`, 'old', { qos: 1, retain: true })
      await publish(peer, `${trial.base}/r`, 'new', { retain: true })
      await subscribe(peer, `${trial.base}/r`, 1)
      const got = (await receiveAll(peer, trial)).map(({ payload }) => payload)
      holds(!got.includes('old'), 'the earlier message was kept')
      await publish(peer, `${trial.base}/r`, '', { retain: true, qos: 1 })
    },
  },
  {
    id: { 4: 'MQTT-3.3.1-11', 5: 'MQTT-3.3.1-7' },
    what: 'an empty retained message is not kept',
    async play(trial) {
      const { peer } = await trial.connect()
      await publish(peer, `${trial.base}/r`, '', { qos: 1, retain: true })
      await subscribe(peer, `${trial.base}/r`, 1)
      equal((await receiveAll(peer, trial)).length, 0, 'retained messages')
    },
  },
  {
    id: both('MQTT-4.7.2-1'),
    what: 'a filter that begins with a wildcard gets no topic that begins with $',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, '#')
      const topics = (await receiveAll(peer, trial)).map(({ topic }) => topic)
      equal(topics.filter(topic => topic.startsWith('$')).slice(0, 3), [], 'topics')
    },
  },
  {
    id: both('MQTT-4.7.3-4'),
    what: 'topics are compared without Unicode normalization',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/\u00e9`)
      for (const level of ['e\u0301', '\u00e9']) await publish(peer, `${trial.base}/${level}`, level)
      equal(
        (await receiveAll(peer, trial)).map(({ payload }) => payload),
        ['\u00e9'],
        'the topics received',
      )
    },
  },
  keepsTopic({ 4: 'MQTT-1.5.3-3', 5: 'MQTT-1.5.4-3' }, 'U+FEFF in a topic is kept', '\ufeffa'),
  keepsTopic(both('§4.7.3'), 'a topic may have blanks, and characters beyond U+FFFF', 'a b/\u{1f4a1}'),
  {
    id: { 4: '§2.2.3', 5: '§1.5.5' },
    what: 'a message of 20,000 octets arrives whole',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 1)
      const payload = Array.from({ length: 20_000 }, (_, at) => 'abcdefghij'[at % 10]).join('')
      await publish(peer, `${trial.base}/a`, payload, { qos: 1 })
      holds((await receive(peer)).payload === payload, 'another payload')
    },
  },
  {
    id: both('§4.2'),
    what: 'packets may come in pieces, and several at once',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`)
      const packet = { cmd: 'publish', topic: `${trial.base}/a`, qos: 0, retain: false, dup: false } as const
      const bytes = (payload: string): Buffer =>
        generate({ ...packet, payload } as IPublishPacket, { protocolVersion: trial.version })
      for (const byte of bytes('1')) {
        peer.raw(byte)
        await sleep(1)
      }
      peer.raw(bytes('2'), bytes('3'))
      equal(
        (await receiveAll(peer, trial)).map(({ payload }) => payload),
        ['1', '2', '3'],
        'the messages',
      )
    },
  },
  {
    id: both('MQTT-3.14.1-1'),
    what: 'a DISCONNECT with flags',
    async play(trial) {
      const { peer } = await trial.connect()
      peer.raw(0xe1, 0)
      await peer.closes('a DISCONNECT with flags')
    },
  },
  {
    id: both('§3.1.2.10'),
    what: 'PINGREQ alone keeps a connection open beyond its keep-alive',
    async play(trial) {
      const { peer } = await trial.connect({ keepalive: 1 })
      for (let turn = 0; turn < 5; turn++) {
        await sleep(Math.min(500, trial.patienceMs))
        peer.send({ cmd: 'pingreq' })
        await peer.expect('pingresp')
      }
    },
  },
  {
    id: only('MQTT-3.1.2-27'),
    what: 'a client that named no Topic Alias Maximum gets no aliases',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 1)
      for (let turn = 0; turn < 3; turn++) {
        await publish(peer, `${trial.base}/a`, 'x', { qos: 1 })
        equal((await receive(peer)).packet.properties?.topicAlias, undefined, 'the Topic Alias')
      }
    },
  },
  {
    id: only('MQTT-3.1.2-29'),
    what: 'Request Problem Information 0: no Reason String and no User Property in acknowledgements',
    async play(trial) {
      const { peer } = await trial.connect({ properties: { requestProblemInformation: false } })
      const messageId = nextId()
      peer.send({
        cmd: 'subscribe',
        messageId,
        subscriptions: [{ topic: `${trial.base}/a`, qos: 1 }],
      } as never)
      const suback = await peer.expect('suback')
      peer.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions: [`${trial.base}/none`] })
      const unsuback = await peer.expect('unsuback')
      for (const { properties } of [suback, unsuback] as { properties?: Record<string, unknown> }[])
        equal(
          [properties?.['reasonString'], properties?.['userProperties']],
          [undefined, undefined],
          'what came',
        )
    },
  },
  {
    id: only('MQTT-3.1.3-10'),
    what: 'User Properties of a will are handed on, equal names in their order',
    async play(trial) {
      const topic = `${trial.base}/will`
      const properties = { willDelayInterval: 0, userProperties: { a: ['2', '1'] } }
      const will = { topic, payload: Buffer.from('w'), qos: 1 as const, retain: false, properties }
      const { peer } = await trial.connect({ ...keep, will })
      await subscribe(peer, topic, 1)
      await lose(peer)
      const { peer: later } = await trial.connect(keep)
      const got = (await receive(later)).packet.properties?.userProperties
      equal(got?.['a'], ['2', '1'], 'the User Properties')
    },
  },
  ...(
    [
      ['MQTT-4.8.2-1', 'a shared subscription without a name', '$share//'],
      ['MQTT-4.8.2-2', 'a shared subscription with a wildcard in its name', '$share/a+/'],
    ] as const
  ).map(
    ([id, what, prefix]): Clause => ({
      id: only(id),
      what,
      async play(trial) {
        const { peer } = await trial.connect()
        const subscriptions = [{ topic: `${prefix}${trial.base}/a`, qos: 0 as const }]
        peer.send({ cmd: 'subscribe', messageId: nextId(), subscriptions } as never)
        const suback = await peer.expect('suback').catch(error => {
          if (peer.isClosed()) return null
          throw error
        })
        if (suback && Number(suback.granted[0]) < 0x80) throw new ClauseFailed(`${what} was granted`)
      },
    }),
  ),
]
