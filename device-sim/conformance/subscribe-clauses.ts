// Clauses of SUBSCRIBE, UNSUBSCRIBE and topic filters. MQTT 3.1.1 §3.8 to §3.11, §4.7; MQTT 5 likewise.
import type { Clause } from './clause.ts'
import { ClauseFailed } from './peer.ts'
import { closing } from './raw-packets.ts'
import { equal, holds, nextId, publish, receive, receiveAll, subscribe, type Trial } from './trial.ts'

const both = (id: string): Clause['id'] => ({ 4: id, 5: id })

/** SUBSCRIBE or UNSUBSCRIBE with the filter `a` and these options octets. */
const rawFilter = ({ version }: Trial, first: number, id: number, filters: number[]): number[] => {
  const body = [0, id, ...(version === 5 ? [0] : []), ...filters]
  return [first, body.length, ...body]
}

/** Refused by a reason code or by the end of the connection. */
const invalidFilter = (id: Clause['id'], what: string, filter: (base: string) => string): Clause => ({
  id,
  what,
  async play(trial) {
    const { peer } = await trial.connect()
    peer.send({
      cmd: 'subscribe',
      messageId: nextId(),
      subscriptions: [{ topic: filter(trial.base), qos: 0 }],
    } as never)
    const suback = await peer.expect('suback').catch(error => {
      if (peer.isClosed()) return null
      throw error
    })
    if (suback && Number(suback.granted[0]) < 0x80) throw new ClauseFailed(`${what} was granted`)
  },
})

/** Which of these topics below `base` a filter gets. */
const matches = (id: Clause['id'], what: string, filter: string, yes: string[], no: string[]): Clause => ({
  id,
  what,
  async play(trial) {
    const { peer } = await trial.connect()
    await subscribe(peer, `${trial.base}${filter}`, 0)
    for (const topic of [...yes, ...no]) await publish(peer, `${trial.base}${topic}`, topic)
    const got = (await receiveAll(peer, trial)).map(({ payload }) => payload)
    equal(got.toSorted(), yes.toSorted(), 'the topics received')
  },
})

export const subscribeClauses: Clause[] = [
  closing(both('MQTT-3.8.1-1'), 'a SUBSCRIBE with the wrong flags', trial =>
    rawFilter(trial, 0x80, 1, [0, 1, 0x61, 0]),
  ),
  closing({ 4: 'MQTT-3.8.3-3', 5: 'MQTT-3.8.3-2' }, 'a SUBSCRIBE without a filter', trial =>
    rawFilter(trial, 0x82, 1, []),
  ),
  closing({ 4: 'MQTT-3-8.3-4', 5: 'MQTT-3.8.3-5' }, 'a SUBSCRIBE with reserved bits in its options', trial =>
    rawFilter(trial, 0x82, 1, [0, 1, 0x61, 0xc0]),
  ),
  closing({ 4: 'MQTT-3-8.3-4', 5: '§3.8.3.1' }, 'a SUBSCRIBE that asks for QoS 3', trial =>
    rawFilter(trial, 0x82, 1, [0, 1, 0x61, 3]),
  ),
  closing({ 4: 'MQTT-2.3.1-1', 5: 'MQTT-2.2.1-3' }, 'a SUBSCRIBE with packet ID 0', trial =>
    rawFilter(trial, 0x82, 0, [0, 1, 0x61, 0]),
  ),
  closing(both('MQTT-3.10.1-1'), 'an UNSUBSCRIBE with the wrong flags', trial =>
    rawFilter(trial, 0xa0, 1, [0, 1, 0x61]),
  ),
  closing({ 4: 'MQTT-3.10.3-2', 5: 'MQTT-3.10.3-2' }, 'an UNSUBSCRIBE without a filter', trial =>
    rawFilter(trial, 0xa2, 1, []),
  ),
  closing({ 4: 'MQTT-2.3.1-1', 5: 'MQTT-2.2.1-3' }, 'an UNSUBSCRIBE with packet ID 0', trial =>
    rawFilter(trial, 0xa2, 0, [0, 1, 0x61]),
  ),
  {
    id: both('MQTT-3.8.4-2'),
    what: 'SUBACK has the packet ID of its SUBSCRIBE',
    async play(trial) {
      const { peer } = await trial.connect()
      for (let turn = 0; turn < 3; turn++) await subscribe(peer, `${trial.base}/${turn}`, 1)
    },
  },
  {
    id: both('MQTT-3.9.3-1'),
    what: 'SUBACK has a code for each filter, in their order',
    async play(trial) {
      const { peer } = await trial.connect()
      const filters = ([2, 0, 1] as const).map(qos => ({ topic: `${trial.base}/f${qos}`, qos }))
      const granted = await subscribe(peer, filters)
      equal(granted.length, 3, 'the number of codes')
      holds(granted[1] === 0, `the second code is ${granted[1]}, and QoS 0 was asked for`)
      holds((granted[0] ?? 3) <= 2 && (granted[2] ?? 3) <= 1, `more than was asked for: ${granted}`)
    },
  },
  {
    id: { 4: 'MQTT-3.8.4-3', 5: 'MQTT-3.8.4-3' },
    what: 'the same filter again replaces the subscription, and retained messages come again',
    async play(trial) {
      const { peer } = await trial.connect()
      const topic = `${trial.base}/r`
      await publish(peer, topic, 'kept', { retain: true, qos: 1 })
      for (const qos of [1, 0] as const) {
        await subscribe(peer, topic, qos)
        equal((await receive(peer)).payload, 'kept', 'the retained message')
      }
      await publish(peer, topic, 'once', { qos: 1 })
      const got = (await receiveAll(peer, trial)).map(({ payload, packet }) => `${payload} ${packet.qos}`)
      equal(got, ['once 0'], 'the deliveries')
      await publish(peer, topic, '', { retain: true, qos: 1 })
    },
  },
  {
    id: { 4: 'MQTT-3.10.4-2', 5: 'MQTT-3.10.4-2' },
    what: 'after UNSUBACK no message of the filter comes',
    async play(trial) {
      const { peer } = await trial.connect()
      await subscribe(peer, `${trial.base}/a`, 1)
      const messageId = nextId()
      peer.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [`${trial.base}/a`] })
      equal((await peer.expect('unsuback')).messageId, messageId, 'the packet ID of UNSUBACK')
      await publish(peer, `${trial.base}/a`, 'x', { qos: 1 })
      equal((await receiveAll(peer, trial)).length, 0, 'deliveries')
    },
  },
  {
    id: { 4: 'MQTT-3.10.4-5', 5: 'MQTT-3.10.4-5' },
    what: 'UNSUBSCRIBE of a filter that is not subscribed is answered by UNSUBACK',
    async play(trial) {
      const { peer } = await trial.connect()
      const messageId = nextId()
      peer.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [`${trial.base}/none`] })
      equal((await peer.expect('unsuback')).messageId, messageId, 'the packet ID')
    },
  },
  invalidFilter(
    { 4: 'MQTT-4.7.1-2', 5: 'MQTT-4.7.1-1' },
    'a filter with # before its end',
    base => `${base}/#/a`,
  ),
  invalidFilter(
    { 4: 'MQTT-4.7.1-2', 5: 'MQTT-4.7.1-1' },
    'a filter with # beside other characters',
    base => `${base}/a#`,
  ),
  invalidFilter(
    { 4: 'MQTT-4.7.1-3', 5: 'MQTT-4.7.1-2' },
    'a filter with + beside other characters',
    base => `${base}/a+`,
  ),
  invalidFilter(both('MQTT-4.7.3-1'), 'an empty filter', () => ''),
  matches(
    both('§4.7.1.2'),
    '# matches the level above it and all below',
    '/x/#',
    ['/x', '/x/a', '/x/a/b'],
    ['/xa'],
  ),
  matches(
    both('§4.7.1.3'),
    '+ matches one level, and an empty one',
    '/+/z',
    ['/a/z', '//z'],
    ['/a/b/z', '/z'],
  ),
  matches(
    both('§4.7.3'),
    'topics are compared with their case and their slashes',
    '/Ab',
    ['/Ab'],
    ['/ab', '/Ab/'],
  ),
]
