// Answers, their order, and what is sent again: the exchanges of MQTT 3.1.1 §3 and §4, packets of one write among them.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Packet } from 'mqtt-packet'
import type { Identity } from '../../../harness/authority.ts'
import { connectPacket, openTls, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { packetsOf, publishQos1 } from '../../../harness/raw-client.ts'
import { type QoS, type Speaking, speak } from '../../../harness/speaking-client.ts'
import { until } from '../../../harness/until.ts'

const topic = 'devices/d1/x'

describe('an exchange', () => {
  let t: TestBroker
  let device: Identity
  let backend: Speaking
  beforeEach(async () => {
    t = await startTestBroker({ settings: { retainedBytesMax: 8_000, offlineBytesMax: 2_000 } })
    device = await t.roll.enroll('d1')
    backend = await speak(t, await t.roll.enroll('b1', { groups: ['backend'] }), { clientId: 'b1' })
    await backend.subscribe([{ topic: 'devices/#', qos: 2 }])
  })
  afterEach(async () => {
    await backend.cut()
    await t.close()
  })

  const comes = (connect: Parameters<typeof connectPacket>[0] = {}, how: { silent?: boolean } = {}) =>
    speak(t, device, { clientId: 'd1', ...connect }, how)
  const publish = (qos: QoS, messageId: number, payload = 'x', more: object = {}) =>
    ({ cmd: 'publish', topic, qos, payload, dup: false, retain: false, messageId, ...more }) as Packet
  const subscribe = (messageId: number, ...subscriptions: [string, QoS][]) =>
    ({
      cmd: 'subscribe',
      messageId,
      subscriptions: subscriptions.map(([filter, qos]) => ({ topic: filter, qos })),
    }) as Packet
  const unsubscribe = (messageId: number, ...unsubscriptions: string[]): Packet => ({
    cmd: 'unsubscribe',
    messageId,
    unsubscriptions,
  })
  /** From somebody else, until it is acknowledged. */
  async function send(qos: QoS, payload: string, more: object = {}): Promise<void> {
    const before = backend.count(qos === 1 ? 4 : 7)
    backend.say(publish(qos, 1, payload, more))
    if (qos === 0) await backend.ping()
    else await until(() => backend.count(qos === 1 ? 4 : 7) > before)
  }
  const payloads = ({ messages }: Speaking) => messages.map(({ payload }) => payload)

  for (const clean of [true, false]) {
    const how = clean ? 'clean' : 'kept'

    test(`[MQTT-3.8.4-5] SUBACK answers every filter of SUBSCRIBE in its order, repeated ones too (${how})`, async () => {
      const one = await comes({ clean })
      const asked: [string, QoS][] = [
        [topic, 2],
        ['devices/other', 1],
        [topic, 0],
        ['devices/d1/y', 1],
      ]
      one.say(subscribe(9, ...asked))
      await until(() => one.count(9) > 0)
      assert.deepEqual([...one.packets.at(-1)!.bytes], [0x90, 6, 0, 9, 2, 0x80, 0, 1])
      await send(1, 'm')
      await until(() => one.messages.length > 0)
      assert.deepEqual(
        one.messages.map(({ qos }) => qos),
        [0],
        'the last one holds [MQTT-3.8.4-3]',
      )
      await one.cut()
    })

    test(`[MQTT-3.8.4] a filter that is left and asked for at once is subscribed (${how})`, async () => {
      const one = await comes({ clean })
      await one.subscribe([{ topic, qos: 1 }])
      one.say(unsubscribe(2, topic), subscribe(3, [topic, 1]), subscribe(4, ['devices/d1/y', 1]))
      one.say(unsubscribe(5, 'devices/d1/y'))
      await until(() => one.count(9) === 3 && one.count(11) === 2)
      await one.ping()
      await send(1, 'left', { topic: 'devices/d1/y' })
      await send(1, 'm')
      await until(() => one.messages.length > 0, 5_000)
      assert.deepEqual(payloads(one), ['m'])
      await one.cut()
    })

    test(`[MQTT-3.10.4-1] UNSUBSCRIBE ends what is the same, character by character, alone (${how})`, async () => {
      const one = await comes({ clean })
      await one.subscribe([
        { topic: 'devices/d1/+', qos: 1 },
        { topic: 'devices/d1/y', qos: 1 },
      ])
      one.say(unsubscribe(2, topic, 'devices/d1/Y', 'devices/#', 'devices/d1/y'))
      await until(() => one.count(11) === 1)
      await send(1, 'm')
      await until(() => one.messages.length > 0)
      one.say(unsubscribe(3, 'devices/d1/+'))
      await until(() => one.count(11) === 2)
      await send(1, 'gone')
      await one.ping()
      assert.deepEqual(payloads(one), ['m'])
      await one.cut()
    })

    test(`[MQTT-4.3.3-2] a message of QoS 2 that comes again before PUBREL is passed on once (${how})`, async () => {
      const one = await comes({ clean }, { silent: true })
      one.say(publish(2, 7, 'm'), publish(2, 7, 'm', { dup: true }))
      await until(() => one.count(5) === 2)
      one.say(publish(2, 7, 'm', { dup: true }))
      await until(() => one.count(5) === 3)
      one.say({ cmd: 'pubrel', messageId: 7 })
      await until(() => one.count(7) === 1)
      one.say(publish(2, 7, 'next'))
      await until(() => one.count(5) === 4)
      await until(() => payloads(backend).includes('next'))
      assert.deepEqual(payloads(backend), ['m', 'next'])
      await one.cut()
    })

    test(`[MQTT-4.6.0-2] acknowledgements come in the order of what they answer (${how})`, async () => {
      const one = await comes({ clean }, { silent: true })
      const ids = Array.from({ length: 50 }, (_, index) => index + 1)
      one.say(...ids.map(id => publish(1, id)))
      await until(() => one.count(4) === ids.length)
      one.say(...ids.map(id => publish(2, id)))
      await until(() => one.count(5) === ids.length)
      one.say(...ids.map(messageId => ({ cmd: 'pubrel', messageId }) as Packet))
      await until(() => one.count(7) === ids.length)
      const wanted = ['puback', 'pubrec', 'pubcomp'].flatMap(cmd => ids.map(id => `${cmd} ${id}`))
      assert.deepEqual(one.heard.slice(1), wanted)
      await one.cut()
    })

    test(`[MQTT-3.8.4-3] the same SUBSCRIBE again shows again what is retained (${how})`, async () => {
      await send(1, 'kept', { retain: true })
      const one = await comes({ clean })
      for (const qos of [0, 2, 2] as const) await one.subscribe([{ topic, qos }])
      await until(() => one.messages.length === 3)
      await one.ping()
      assert.equal(one.isClosed(), false)
      assert.deepEqual(
        one.messages.map(({ qos, retain }) => [qos, retain]),
        [
          [0, true],
          [1, true],
          [1, true],
        ],
      )
      await one.cut()
    })
  }

  test('[MQTT-3.3.1-10] a retained message without payload is passed on, and leaves none', async () => {
    const there = await comes()
    await there.subscribe([{ topic, qos: 1 }])
    await send(1, 'old', { retain: true })
    await send(0, 'new', { retain: true })
    await send(1, '', { retain: true })
    await until(() => there.messages.length === 3)
    assert.deepEqual(
      there.messages.map(({ payload, retain }) => [payload, retain]),
      [
        ['old', false],
        ['new', false],
        ['', false],
      ],
    )
    await there.subscribe([{ topic, qos: 1 }])
    await there.ping()
    assert.equal(there.messages.length, 3)
    await there.cut()
  })

  test('[MQTT-3.3.1-5] a retained message that there is no room for is not acknowledged, and the old one stays', async () => {
    await send(1, 'old', { retain: true })
    const other = await comes()
    other.say(publish(1, 7, 'x'.repeat(4_000), { retain: true }))
    await until(other.isClosed)
    assert.equal(other.count(4), 0)
    const one = await comes()
    await one.subscribe([{ topic, qos: 1 }])
    await until(() => one.messages.length === 1)
    assert.deepEqual(payloads(one), ['old'])
    await one.cut()
  })

  test('a message that does not fit its queue is sent to a kept session that is there', async () => {
    const one = await comes({ clean: false })
    await one.subscribe([{ topic, qos: 1 }])
    await send(1, 'x'.repeat(2_000))
    await until(() => one.messages.length > 0 || one.isClosed())
    assert.equal(one.isClosed(), false)
    await one.cut()
  })

  test('[MQTT-4.4.0-1] a retained message that was shown and not acknowledged is sent again', async () => {
    await send(2, 'kept', { retain: true })
    const first = await comes({ clean: false }, { silent: true })
    await first.subscribe([{ topic, qos: 2 }])
    await until(() => first.messages.length === 1)
    await first.cut()
    const second = await comes({ clean: false })
    await until(() => second.messages.length === 1, 5_000)
    assert.deepEqual(second.messages, [{ ...first.messages[0], dup: true }])
    await until(() => second.count(6) === 1)
    await second.ping()
    await second.end()
    const third = await comes({ clean: false })
    await third.ping()
    assert.deepEqual(third.messages, [])
    await third.cut()
  })

  test('[MQTT-3.2.0-1] nothing comes before CONNACK, though messages go on coming', async () => {
    const first = await comes({ clean: false })
    await first.subscribe([{ topic, qos: 0 }])
    await first.cut()
    let over = false
    const flood = (async () => {
      while (!over) await send(0, 'x'.repeat(10))
    })()
    try {
      for (let turn = 0; turn < 20; turn += 1) {
        const back = await comes({ clean: false, will: { topic, payload: 'gone', qos: 1 } })
        assert.equal(back.heard[0], 'connack')
        await back.end()
      }
    } finally {
      over = true
      await flood
    }
  })

  test('[MQTT-3.1.4-5] what comes behind a refused CONNECT is not done', async () => {
    const socket = await openTls(t, { identity: device })
    const packets = packetsOf(socket)
    socket.write(Buffer.concat([connectPacket({ clientId: 'other' }), publishQos1(topic, 1, 'no')]))
    await until(() => socket.destroyed)
    assert.deepEqual(
      packets.map(({ bytes }) => bytes.toString('hex')),
      ['20020002'],
    )
    await send(1, 'last')
    await until(() => payloads(backend).includes('last'))
    assert.deepEqual(payloads(backend), ['last'])
  })
})
