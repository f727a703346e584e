// Which copies of a message a session gets whose subscriptions overlap, by their Subscription Identifiers (MQTT 5 §3.3.4).
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { COPIES_MAX } from '../../../../broker/mqtt/routing/copies.ts'
import type { Identity } from '../../../harness/authority.ts'
import { startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { type Heard, type Mqtt5Client, speak5 } from '../../../harness/mqtt5-client.ts'
import { kept5, publish5, subscribe5 } from '../../../harness/packets5.ts'

const topic = 'devices/d1/a/b'

describe('overlapping subscriptions of MQTT 5', () => {
  let t: TestBroker
  let device: Identity & { fingerprint: string }
  let backend: Mqtt5Client
  beforeEach(async () => {
    t = await startTestBroker()
    device = await t.roll.enroll('d1')
    backend = await speak5(t, await t.roll.enroll('b1', { groups: ['backend'] }), { clientId: 'b1' })
  })
  afterEach(async () => {
    await backend.cut()
    await t.close()
  })

  const comes = (connect: object = {}) => speak5(t, device, { clientId: 'd1', ...connect })
  /** To the device, with the most QoS; everything that it causes at once has been sent when PINGRESP has come. */
  async function publish(payload: string, more: object = {}): Promise<void> {
    await backend.ask(publish5(topic, 1, { qos: 2, payload, ...more }), 'pubrec')
    await backend.ask({ cmd: 'pubrel', messageId: 1 }, 'pubcomp')
  }
  async function copiesOf(client: Mqtt5Client, payload: string): Promise<unknown[]> {
    await client.ask({ cmd: 'pingreq' }, 'pingresp')
    return client
      .of('publish')
      .filter(one => String(one.payload) === payload)
      .map(one => [one.properties?.['subscriptionIdentifier'] ?? null, one.qos, one.retain])
  }
  async function subscribe(client: Mqtt5Client, filter: string, options: object, identifier?: number) {
    const properties = identifier === undefined ? {} : { subscriptionIdentifier: identifier }
    const answer: Heard = await client.ask(subscribe5(9, filter, options, properties), 'suback')
    assert.ok(answer.granted![0]! < 3, `subscribed to ${filter}`)
  }

  test('[MQTT-3.3.4-5] each identifier gets a copy as its subscription asks for it, and what has none one more', async () => {
    const one = await comes()
    await subscribe(one, 'devices/d1/#', { qos: 0 }, 3)
    await subscribe(one, 'devices/d1/+/b', { qos: 2, rap: true }, 200)
    await subscribe(one, topic, { qos: 1 })
    await publish('m', { retain: true })
    assert.deepEqual(
      new Set(await copiesOf(one, 'm')),
      new Set([
        [3, 0, false],
        [200, 2, true],
        [null, 1, false],
      ]),
    )
    await one.cut()
  })

  test('filters of one identifier are one copy, with the most QoS of them', async () => {
    const one = await comes()
    await subscribe(one, 'devices/d1/#', { qos: 1 }, 7)
    await subscribe(one, 'devices/d1/+/b', { qos: 0 }, 7)
    await subscribe(one, topic, { qos: 0 }, 8)
    await publish('m')
    assert.deepEqual(
      new Set(await copiesOf(one, 'm')),
      new Set([
        [7, 1, false],
        [8, 0, false],
      ]),
    )
    await one.cut()
  })

  test('No Local is asked for each subscription', async () => {
    const one = await comes()
    await subscribe(one, 'devices/d1/#', { qos: 0, nl: true }, 1)
    await subscribe(one, 'devices/d1/+/b', { qos: 0 }, 2)
    await one.ask(publish5(topic, 5, { payload: 'own' }), 'puback')
    assert.deepEqual(await copiesOf(one, 'own'), [[2, 0, false]])
    await one.cut()
  })

  test(`[MQTT-3.3.4-4] more than ${COPIES_MAX} identifiers are one copy with all of them`, async () => {
    const one = await comes()
    const wild = ['devices/d1/#', 'devices/d1/+/b', 'devices/d1/a/+', 'devices/d1/+/+', 'devices/d1/a/#']
    const more = ['devices/d1/a/b/#', 'devices/d1/+/#', 'devices/d1/+/b/#', 'devices/d1/+/+/#']
    const filters = [...wild, ...more]
    assert.equal(filters.length, COPIES_MAX + 1)
    for (const [at, filter] of filters.slice(0, COPIES_MAX).entries())
      await subscribe(one, filter, { qos: 0 }, at + 1)
    await publish('each')
    assert.equal((await copiesOf(one, 'each')).length, COPIES_MAX)
    await subscribe(one, filters.at(-1)!, { qos: 1, rap: true }, 99)
    await publish('all')
    const [[identifiers, ...rest] = [], ...others] = (await copiesOf(one, 'all')) as [
      number[],
      ...unknown[],
    ][]
    assert.deepEqual(
      [identifiers!.toSorted((a, b) => a - b), rest, others],
      [[1, 2, 3, 4, 5, 6, 7, 8, 99], [1, false], []],
    )
    await one.cut()
  })

  test('[MQTT-3.3.4-9] each copy counts for Receive Maximum, on a clean and on a kept session', async () => {
    for (const connect of [
      { properties: { receiveMaximum: 1 } },
      kept5(60, { properties: { sessionExpiryInterval: 60, receiveMaximum: 1 } }),
    ]) {
      const one = await comes(connect)
      await subscribe(one, 'devices/d1/#', { qos: 1 }, 1)
      await subscribe(one, 'devices/d1/+/b', { qos: 1 }, 2)
      await publish('m')
      assert.equal((await copiesOf(one, 'm')).length, 1, 'its window is full')
      const first = await one.next('publish')
      one.say({ cmd: 'puback', messageId: (first as { messageId?: number }).messageId })
      await one.next('publish', 2)
      assert.deepEqual(
        new Set((await copiesOf(one, 'm')).map(each => (each as unknown[])[0])),
        new Set([1, 2]),
      )
      await one.leave()
    }
  })

  test('a kept session that is away gets its copies when it is back', async () => {
    const first = await comes(kept5(60))
    await subscribe(first, 'devices/d1/#', { qos: 1 }, 1)
    await subscribe(first, 'devices/d1/+/b', { qos: 2 }, 2)
    await subscribe(first, topic, { qos: 0 }, 3)
    await first.leave()
    await publish('m')
    const again = await comes(kept5(60))
    await again.next('publish', 2)
    assert.deepEqual(
      await copiesOf(again, 'm'),
      [
        [1, 1, false],
        [2, 2, false],
      ],
      'of QoS 1 and 2',
    )
    await again.cut()
  })
})
