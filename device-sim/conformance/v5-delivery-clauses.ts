// Clauses of what MQTT 5 adds to deliveries: properties of messages, expiry, subscription options, limits of the client.
import { setTimeout as sleep } from 'node:timers/promises'
import type { IPublishPacket } from 'mqtt-packet'
import type { Clause } from './clause.ts'
import { ClauseFailed, NotApplicable } from './peer.ts'
import { equal, holds, nextId, publish, receive, receiveAll, subscribe, type Trial } from './trial.ts'

const only = (id: string): Clause['id'] => ({ 5: id })
const keep = { clean: false, properties: { sessionExpiryInterval: 60 } }

/** A message whose property must come back as it was sent. */
const handsOn = (
  id: string,
  what: string,
  properties: NonNullable<IPublishPacket['properties']>,
): Clause => ({
  id: only(id),
  what,
  async play(trial) {
    const { peer } = await trial.connect()
    await subscribe(peer, `${trial.base}/a`, 1)
    await publish(peer, `${trial.base}/a`, 'x', { qos: 1, properties })
    const got = ((await receive(peer)).packet.properties ?? {}) as Record<string, unknown>
    for (const [name, value] of Object.entries(properties)) equal(plain(got[name]), plain(value), name)
  },
})

function plain(value: unknown): unknown {
  return Buffer.isBuffer(value) ? value.toString('hex') : value
}

export const v5DeliveryClauses: Clause[] = [
  handsOn('MQTT-3.3.2-4', 'the Payload Format Indicator is handed on', { payloadFormatIndicator: true }),
  handsOn('MQTT-3.3.2-15', 'the Response Topic is handed on', { responseTopic: 'answers/here' }),
  handsOn('MQTT-3.3.2-16', 'Correlation Data is handed on', { correlationData: Buffer.from([0, 255, 1]) }),
  handsOn('MQTT-3.3.2-20', 'the Content Type is handed on', { contentType: 'text/plain' }),
  handsOn('MQTT-3.3.2-17', 'User Properties are handed on, equal names in their order', {
    userProperties: { b: ['2', '1'], a: '3' },
  }),
  {
    id: only('MQTT-3.3.2-6'),
    what: 'the Message Expiry Interval is counted down while a message waits',
    async play(trial) {
      const left = await waiting(trial, 60, 2_200)
      if (left === null) throw new ClauseFailed('the message did not come')
      holds(left >= 50 && left <= 59, `${left} s are left of 60 after more than two`)
    },
  },
  {
    id: only('MQTT-3.3.2-5'),
    what: 'a message that has expired is not delivered',
    async play(trial) {
      equal(await waiting(trial, 1, 2_200), null, 'the message')
    },
  },
  {
    id: only('MQTT-3.8.3-3'),
    what: 'No Local: a client does not get its own messages',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, [{ topic: `${trial.base}/a`, qos: 1, nl: true }])
      await publish(peer, `${trial.base}/a`, 'x', { qos: 1 })
      equal((await receiveAll(peer, trial)).length, 0, 'deliveries')
    },
  },
  {
    id: only('MQTT-3.3.1-13'),
    what: 'Retain As Published keeps the flag of a live message',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, [{ topic: `${trial.base}/r`, qos: 1, rap: true }])
      await publish(peer, `${trial.base}/r`, 'x', { qos: 1, retain: true })
      equal((await receive(peer)).packet.retain, true, 'the retain flag')
      await publish(peer, `${trial.base}/r`, '', { qos: 1, retain: true })
    },
  },
  {
    id: only('MQTT-3.3.1-10'),
    what: 'Retain Handling 1 sends retained messages for a new subscription alone',
    play: trial => retainHandling(trial, 1, [1, 0]),
  },
  {
    id: only('MQTT-3.3.1-11'),
    what: 'Retain Handling 2 sends no retained messages',
    play: trial => retainHandling(trial, 2, [0, 0]),
  },
  {
    id: only('MQTT-3.3.1-9'),
    what: 'Retain Handling 0 sends retained messages for every SUBSCRIBE',
    play: trial => retainHandling(trial, 0, [1, 1]),
  },
  {
    id: only('MQTT-3.3.4-3'),
    what: 'a delivery carries the Subscription Identifier',
    async play(trial) {
      const { peer, connack } = await trial.connect()
      if (connack.properties?.['subscriptionIdentifiersAvailable'] === false)
        throw new NotApplicable('no Subscription Identifiers')
      await subscribe(peer, `${trial.base}/a`, 1, { subscriptionIdentifier: 7 })
      await publish(peer, `${trial.base}/a`, 'x', { qos: 1 })
      const id = (await receive(peer)).packet.properties?.subscriptionIdentifier
      equal([id].flat(), [7], 'the Subscription Identifier')
    },
  },
  {
    id: only('MQTT-3.3.4-9'),
    what: 'no more unacknowledged messages are sent than Receive Maximum',
    async play(trial) {
      const { peer } = await trial.connect({ properties: { receiveMaximum: 2 } })
      await subscribe(peer, `${trial.base}/a`, 1)
      for (let turn = 0; turn < 4; turn++) await publish(peer, `${trial.base}/a`, String(turn), { qos: 1 })
      const first = await peer.expect('publish')
      await peer.expect('publish')
      peer.send({ cmd: 'pingreq' })
      await peer.expect('pingresp')
      equal(peer.publishes().length, 0, 'messages beyond Receive Maximum')
      peer.send({ cmd: 'puback', messageId: first.messageId ?? 0 })
      equal(String((await peer.expect('publish')).payload), '2', 'the message after an acknowledgement')
    },
  },
  {
    id: only('MQTT-3.1.2-24'),
    what: 'no packet larger than Maximum Packet Size is sent',
    async play(trial) {
      const { peer } = await trial.connect({ properties: { maximumPacketSize: 200 } })
      await subscribe(peer, `${trial.base}/a`, 1)
      await publish(peer, `${trial.base}/a`, 'x'.repeat(400), { qos: 1 })
      await publish(peer, `${trial.base}/a`, 'small', { qos: 1 })
      equal(
        (await receiveAll(peer, trial)).map(({ payload }) => payload.length),
        [5],
        'the lengths of what came',
      )
    },
  },
  {
    id: only('MQTT-3.3.2-12'),
    what: 'a Topic Alias stands for its topic',
    async play(trial) {
      const { peer, connack } = await trial.connect()
      if (Number(connack.properties?.['topicAliasMaximum'] ?? 0) < 1)
        throw new NotApplicable('no Topic Alias')
      await subscribe(peer, `${trial.base}/a`, 1)
      await publish(peer, `${trial.base}/a`, '1', { qos: 1, properties: { topicAlias: 1 } })
      await publish(peer, '', '2', { qos: 1, properties: { topicAlias: 1 } })
      const got = [await receive(peer), await receive(peer)].map(
        ({ topic, payload }) => `${topic} ${payload}`,
      )
      equal(got, [`${trial.base}/a 1`, `${trial.base}/a 2`], 'the messages')
    },
  },
  {
    id: only('MQTT-3.11.3-1'),
    what: 'UNSUBACK has a Reason Code for each filter, in their order',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 1)
      const messageId = nextId()
      peer.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [`${trial.base}/none`, `${trial.base}/a`] })
      const { granted = [] } = (await peer.expect('unsuback')) as { granted?: unknown[] }
      equal(granted.map(Number), [0x11, 0], 'the Reason Codes')
    },
  },
]

/** A will that waits for its own client: what is left of its expiry, or null where it does not come. */
async function waiting(trial: Trial, expirySeconds: number, ms: number): Promise<number | null> {
  const will = {
    topic: `${trial.base}/a`,
    payload: Buffer.from('w'),
    qos: 1 as const,
    retain: false,
    properties: { messageExpiryInterval: expirySeconds },
  }
  const { peer } = await trial.connect({ ...keep, will })
  await subscribe(peer, will.topic, 1)
  peer.drop()
  await sleep(ms)
  const { peer: later } = await trial.connect(keep)
  const [message] = await receiveAll(later, trial)
  return message ? Number(message.packet.properties?.messageExpiryInterval ?? Number.NaN) : null
}

async function retainHandling(trial: Trial, rh: 0 | 1 | 2, expected: [number, number]): Promise<void> {
  const { peer } = await trial.connect()
  await publish(peer, `${trial.base}/r`, 'kept', { qos: 1, retain: true })
  for (const count of expected) {
    await subscribe(peer, [{ topic: `${trial.base}/r`, qos: 1, rh }])
    equal((await receiveAll(peer, trial)).length, count, 'retained messages')
  }
  await publish(peer, `${trial.base}/r`, '', { qos: 1, retain: true })
}
