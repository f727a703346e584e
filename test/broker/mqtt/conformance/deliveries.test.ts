// Receivers of messages, and their form: topic filters, QoS and RETAIN of every way a message can reach a subscriber (MQTT 3.1.1 §3.3, §3.8,
// §4.7), with bytes over real TLS.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { IPublishPacket } from 'mqtt-packet'
import type { Identity } from '../../../harness/authority.ts'
import { startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { tester } from '../../../harness/roll.ts'
import {
  type Message,
  type QoS,
  type Speaking,
  type Subscription,
  speak,
} from '../../../harness/speaking-client.ts'
import { until } from '../../../harness/until.ts'

/** How a message finds its subscriber: connected, clean or kept; away; or subscribing later. */
type Way = 'clean' | 'kept' | 'away' | 'retained'

const ways: Way[] = ['clean', 'kept', 'away', 'retained']
const levels: QoS[] = [0, 1, 2]

describe('a message reaches a subscriber', () => {
  let t: TestBroker
  let device: Identity
  let sender: Identity
  before(async () => {
    t = await startTestBroker()
    const statements = [
      { effect: 'allow', actions: ['publish', 'retain', 'will', 'subscribe', 'receive'], topics: ['#'] },
    ]
    await t.roll.writer.putPolicy('all', { name: 'all', statements }, tester)
    await t.roll.writer.attachPolicy('all', 'group', 'all', tester)
    device = await t.roll.enroll('d1', { groups: ['all'] })
    sender = await t.roll.enroll('s1', { groups: ['all'] })
  })
  after(() => t.close())

  async function publish(from: Speaking, all: Partial<Message>[]): Promise<void> {
    const sent = { 1: 0, 2: 0 }
    for (const [index, { topic = '', qos = 0, payload = 'x', retain = false }] of all.entries()) {
      from.say({
        cmd: 'publish',
        topic,
        qos,
        payload,
        retain,
        dup: false,
        messageId: index + 1,
      } as IPublishPacket)
      if (qos > 0) sent[qos as 1 | 2] += 1
    }
    await until(() => from.count(4) >= sent[1] && from.count(7) >= sent[2])
  }

  /** What a subscriber to these gets of these, by this way. A last message tells that there is no more. */
  async function gets(way: Way, subscriptions: Subscription[], messages: Partial<Message>[]) {
    const last = { topic: 'the/last', qos: 1 as const, payload: 'last' }
    const from = await speak(t, sender, { clientId: 's1', clean: true })
    const all = [...messages, last].map(message => ({ ...message, retain: way === 'retained' }))
    async function send(): Promise<void> {
      await publish(from, all.slice(0, -1))
      await publish(from, all.slice(-1))
    }
    if (way === 'retained') await send()
    let to = await speak(t, device, { clientId: 'd1', clean: way !== 'kept' && way !== 'away' })
    await to.subscribe([...subscriptions, { topic: 'the/+', qos: 1 }])
    if (way === 'away') await to.end()
    if (way !== 'retained') await send()
    if (way === 'away') to = await speak(t, device, { clientId: 'd1', clean: false })
    await until(() => to.messages.some(({ topic }) => topic === last.topic))
    await to.end()
    const clean = await speak(t, device, { clientId: 'd1', clean: true })
    await clean.end()
    await publish(
      from,
      all.filter(() => way === 'retained').map(one => ({ ...one, payload: '' })),
    )
    await from.end()
    return to.messages.filter(({ topic }) => topic !== last.topic)
  }

  for (const way of ways)
    for (const wild of [false, true])
      test(`[MQTT-3.8.4-6] with the lower QoS of both: ${way}, ${wild ? 'by a wildcard' : 'by its topic'}`, async () => {
        const pairs = levels.flatMap(granted => levels.map(sent => ({ granted, sent })))
        const topicOf = ({ granted, sent }: (typeof pairs)[number]) => `q/${granted}${sent}/x`
        const got = await gets(
          way,
          pairs.map(pair => ({
            topic: wild ? topicOf(pair).replace('x', '+') : topicOf(pair),
            qos: pair.granted,
          })),
          pairs.map(pair => ({ topic: topicOf(pair), qos: pair.sent })),
        )
        const waits = pairs.filter(({ granted, sent }) => way !== 'away' || Math.min(granted, sent) > 0)
        assert.deepEqual(
          Object.fromEntries(got.map(({ topic, qos }) => [topic, qos])),
          Object.fromEntries(waits.map(pair => [topicOf(pair), Math.min(pair.granted, pair.sent)])),
        )
        assert.equal(got.length, waits.length)
        assert.deepEqual(new Set(got.map(({ retain }) => retain)), new Set([way === 'retained']))
      })

  const overlaps: [string, Subscription[]][] = [
    [
      'the wider first',
      [
        { topic: 'o/#', qos: 2 },
        { topic: 'o/x', qos: 0 },
      ],
    ],
    [
      'the wider last',
      [
        { topic: 'o/x', qos: 0 },
        { topic: 'o/#', qos: 2 },
      ],
    ],
    [
      'the narrower with more',
      [
        { topic: 'o/#', qos: 0 },
        { topic: 'o/x', qos: 2 },
      ],
    ],
    [
      'three',
      [
        { topic: 'o/+', qos: 0 },
        { topic: '+/x', qos: 1 },
        { topic: '#', qos: 0 },
      ],
    ],
  ]
  for (const way of ways.filter(one => one !== 'retained'))
    for (const [what, subscriptions] of overlaps)
      test(`[MQTT-3.3.5-1] once, with the most QoS of overlapping subscriptions: ${way}, ${what}`, async () => {
        const got = await gets(way, subscriptions, [{ topic: 'o/x', qos: 1 }])
        assert.deepEqual(
          got.map(({ qos }) => qos),
          [1],
        )
      })

  const filters: [tag: string, filter: string, topic: string, matches: boolean][] = [
    ['4.7.1.2', 'sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['4.7.1.2', 'sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['4.7.1.2', 'sport/#', 'sport', true],
    ['4.7.1.2', '#', 'any/thing', true],
    ['4.7.1.3', 'sport/tennis/+', 'sport/tennis/player1', true],
    ['4.7.1.3', 'sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['4.7.1.3', 'sport/+', 'sport', false],
    ['4.7.1.3', 'sport/+', 'sport/', true],
    ['4.7.1.3', '+/tennis/#', 'sport/tennis/x', true],
    ['4.7.1.3', 'sport/+/player1', 'sport/tennis/player1', true],
    ['4.7.1.3', 'sport/+/player1', 'sport//player1', true],
    ['4.7.1.3', '+/+', '/finance', true],
    ['4.7.1.3', '/+', '/finance', true],
    ['4.7.1.3', '+', '/finance', false],
    ['4.7.1.3', '+/+/+', '//', true],
    ['4.7.3-1', 'ACCOUNTS', 'Accounts', false],
    ['4.7.3-1', 'Accounts payable', 'Accounts payable', true],
    ['4.7.3-1', '/finance', 'finance', false],
    ['4.7.3-1', 'finance/', 'finance', false],
    ['4.7.3-1', '/', '/', true],
    ['4.7.3-4', 'caf\u00e9', 'cafe\u0301', false],
    ['1.5.3-3', '\ufeffa', 'a', false],
    ['1.5.3-3', '\ufeffa', '\ufeffa', true],
    ['4.7.3-4', 'constructor/__proto__', 'constructor/__proto__', true],
  ]
  for (const way of ways)
    test(`[MQTT-4.7] where its filter matches: ${way}`, async () => {
      const seen: Record<string, boolean> = {}
      for (const [, filter, topic] of filters) {
        const got = await gets(way, [{ topic: filter, qos: 1 }], [{ topic, qos: 1 }])
        seen[`${filter} ← ${topic}`] = got.some(one => one.topic === topic)
      }
      const wanted = filters.map(([, filter, topic, matches]) => [`${filter} ← ${topic}`, matches])
      assert.deepEqual(seen, Object.fromEntries(wanted))
    })
})
