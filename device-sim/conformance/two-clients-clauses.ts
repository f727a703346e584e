// Clauses that need a second client on the topics of the first: which of them gets a message, and how. MQTT 3.1.1 §3.3, §3.8, §4.5, §4.6; MQTT 5 likewise.
import type { Clause } from './clause.ts'
import { NotApplicable, type Peer } from './peer.ts'
import {
  type ConnectOptions,
  equal,
  lose,
  nextId,
  publish,
  receive,
  receiveAll,
  subscribe,
  type Trial,
} from './trial.ts'

const both = (id: string): Clause['id'] => ({ 4: id, 5: id })
const only = (id: string): Clause['id'] => ({ 5: id })

/** Two clients. @throws NotApplicable where the broker keeps the second from the topics of the first. */
export async function connectTwo(
  trial: Trial,
  options: ConnectOptions = {},
): Promise<{ first: Peer; second: Peer; other: Trial }> {
  const other = trial.other()
  const { peer: second } = await other.connect()
  await subscribe(second, `${trial.base}/probe`).catch(error => {
    if (!(error instanceof NotApplicable)) throw error
    throw new NotApplicable('the broker keeps one client from the topics of another')
  })
  const { peer: first } = await trial.connect(options)
  return { first, second, other }
}

/** What has come, each message as `payload qos` and `retained` where it is marked so. */
export async function received(peer: Peer, trial: Trial): Promise<string[]> {
  const messages = await receiveAll(peer, trial)
  return messages.map(({ payload, packet }) => `${payload} ${packet.qos}${packet.retain ? ' retained' : ''}`)
}

export const twoClientsClauses: Clause[] = [
  {
    id: both('MQTT-4.5.0-1'),
    what: 'every client that subscribes gets a message, its publisher too',
    async play(trial) {
      const { first, second, other } = await connectTwo(trial)
      for (const peer of [first, second]) await subscribe(peer, `${trial.base}/a`, 1)
      await publish(first, `${trial.base}/a`, 'x', { qos: 1 })
      equal(
        [await received(first, trial), await received(second, other)],
        [['x 1'], ['x 1']],
        'the deliveries',
      )
    },
  },
  {
    id: { 4: 'MQTT-3.8.4-6', 5: 'MQTT-3.8.4-8' },
    what: 'each of several clients gets a message at the QoS of its own subscription',
    async play(trial) {
      const { first, second, other } = await connectTwo(trial)
      await subscribe(first, `${trial.base}/a`, 0)
      await subscribe(second, `${trial.base}/a/#`, 1)
      await publish(first, `${trial.base}/a`, 'x', { qos: 1 })
      equal(
        [await received(first, trial), await received(second, other)],
        [['x 0'], ['x 1']],
        'the deliveries',
      )
    },
  },
  {
    id: { 4: 'MQTT-3.3.1-8', 5: '§3.3.1.3' },
    what: 'a retained message comes to the client that subscribes, and to no other again',
    async play(trial) {
      const { first, second, other } = await connectTwo(trial)
      await subscribe(first, `${trial.base}/r`, 1)
      await publish(first, `${trial.base}/r`, 'kept', { qos: 1, retain: true })
      await subscribe(second, `${trial.base}/r`, 1)
      const got = [await received(first, trial), await received(second, other)]
      await publish(first, `${trial.base}/r`, '', { qos: 1, retain: true })
      equal(got, [['kept 1'], ['kept 1 retained']], 'the deliveries')
    },
  },
  {
    id: both('MQTT-3.10.4-1'),
    what: 'an UNSUBSCRIBE ends the subscription of its own client alone',
    async play(trial) {
      const { first, second, other } = await connectTwo(trial)
      for (const peer of [first, second]) await subscribe(peer, `${trial.base}/a`, 1)
      first.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions: [`${trial.base}/a`] })
      await first.expect('unsuback')
      await publish(first, `${trial.base}/a`, 'x', { qos: 1 })
      equal([await received(first, trial), await received(second, other)], [[], ['x 1']], 'the deliveries')
    },
  },
  {
    id: { 4: 'MQTT-4.6.0-6', 5: 'MQTT-4.6.0-5' },
    what: 'where two clients publish to one topic, the messages of each arrive in their order',
    async play(trial) {
      const { first, second, other } = await connectTwo(trial)
      await subscribe(first, `${trial.base}/a`, 1)
      for (let turn = 0; turn < 10; turn++) {
        await Promise.all([
          publish(first, `${trial.base}/a`, `a${turn}`, { qos: 1 }),
          publish(second, `${trial.base}/a`, `b${turn}`, { qos: 1 }),
        ])
      }
      await receiveAll(second, other)
      const got = (await receiveAll(first, trial)).map(({ payload }) => payload)
      for (const name of ['a', 'b']) {
        const own = got.filter(payload => payload.startsWith(name))
        equal(
          own,
          Array.from({ length: 10 }, (_, turn) => `${name}${turn}`),
          'the messages of one client',
        )
      }
    },
  },
  {
    id: both('MQTT-3.1.2-10'),
    what: 'the will comes once to another client',
    async play(trial) {
      const will = { topic: `${trial.base}/will`, payload: Buffer.from('w'), qos: 1 as const, retain: false }
      const { first, second, other } = await connectTwo(trial, { will })
      await subscribe(second, will.topic, 1)
      await lose(first)
      equal((await receive(second)).payload, 'w', 'the will')
      const { peer: again } = await trial.connect()
      await again.leave()
      equal(await received(second, other), [], 'what came after it')
    },
  },
  {
    id: only('MQTT-3.8.3-3'),
    what: 'No Local keeps the messages of its own client back, and no others',
    async play(trial) {
      const { first, second, other } = await connectTwo(trial)
      for (const peer of [first, second])
        await subscribe(peer, [{ topic: `${trial.base}/a`, qos: 1, nl: true }])
      await publish(first, `${trial.base}/a`, 'of the first', { qos: 1 })
      await publish(second, `${trial.base}/a`, 'of the second', { qos: 1 })
      equal(
        [await received(first, trial), await received(second, other)],
        [['of the second 1'], ['of the first 1']],
        'the deliveries',
      )
    },
  },
  {
    id: only('MQTT-3.3.1-12'),
    what: 'Retain As Published is the option of each subscription: one client sees the flag, another does not',
    async play(trial) {
      const { first, second, other } = await connectTwo(trial)
      await subscribe(first, [{ topic: `${trial.base}/r`, qos: 1, rap: true }])
      await subscribe(second, [{ topic: `${trial.base}/r`, qos: 1, rap: false }])
      await publish(first, `${trial.base}/r`, 'x', { qos: 1, retain: true })
      const got = [await received(first, trial), await received(second, other)]
      await publish(first, `${trial.base}/r`, '', { qos: 1, retain: true })
      equal(got, [['x 1 retained'], ['x 1']], 'the deliveries')
    },
  },
  {
    id: only('MQTT-3.3.1-10'),
    what: 'Retain Handling 1: the subscription of another client does not count as existing',
    async play(trial) {
      const { first, second, other } = await connectTwo(trial)
      await publish(first, `${trial.base}/r`, 'kept', { qos: 1, retain: true })
      const got: string[][] = []
      for (const [peer, own] of [
        [first, trial],
        [second, other],
      ] as const) {
        await subscribe(peer, [{ topic: `${trial.base}/r`, qos: 1, rh: 1 }])
        got.push(await received(peer, own))
      }
      await publish(first, `${trial.base}/r`, '', { qos: 1, retain: true })
      equal(got, [['kept 1 retained'], ['kept 1 retained']], 'the deliveries')
    },
  },
  {
    id: only('MQTT-3.3.4-4'),
    what: 'where filters overlap, the Subscription Identifiers of all of them come, and none of another client',
    async play(trial) {
      const { first, second, other } = await connectTwo(trial)
      await subscribe(first, `${trial.base}/a`, 1, { subscriptionIdentifier: 3 })
      await subscribe(first, `${trial.base}/+`, 1, { subscriptionIdentifier: 200 })
      await subscribe(second, `${trial.base}/a`, 1, { subscriptionIdentifier: 5 })
      await publish(first, `${trial.base}/a`, 'x', { qos: 1 })
      const identifiers = async (peer: Peer, own: Trial): Promise<number[]> =>
        (await receiveAll(peer, own))
          .filter(({ payload }) => payload === 'x')
          .flatMap(({ packet }) => [packet.properties?.subscriptionIdentifier ?? []].flat())
          .toSorted((a, b) => a - b)
      equal(
        [await identifiers(first, trial), await identifiers(second, other)],
        [[3, 200], [5]],
        'the Subscription Identifiers',
      )
    },
  },
]
