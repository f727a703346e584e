// What is struck out of a stored queue: what was denied, and what another subscription of the session delivers already.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import { mqttClient, returningClient, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { tester } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'

describe('the queue of a stored session', () => {
  let t: TestBroker
  let backend: MqttClient

  beforeEach(async () => {
    t = await startTestBroker()
    backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
  })
  afterEach(async () => {
    await backend.endAsync(true)
    await t.close()
  })

  test('messages that a deny filters out take none of the allowed ones with them', async () => {
    const identity = await t.roll.enroll('d1')
    const deny = { effect: 'deny', actions: ['receive'], topics: ['devices/+/secret'] }
    await t.roll.writer.putPolicy('quiet', { name: 'quiet', statements: [deny] }, tester)
    const epoch = await t.roll.writer.attachPolicy('quiet', 'everyone', '', tester)
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch)
    const { client, inbox: seen } = await returningClient(t, 'd1', identity)
    await client.subscribeAsync('devices/d1/#', { qos: 1 })
    await Promise.all(
      Array.from({ length: 100 }, (_, number) =>
        backend.publishAsync(`devices/d1/${number % 2 ? 'secret' : 'open'}`, String(number), { qos: 1 }),
      ),
    )
    await until(() => seen.all.some(({ payload }) => payload === '98'))
    assert.equal(client.connected, true)
    assert.deepEqual(
      seen.all.map(({ payload }) => payload),
      Array.from({ length: 50 }, (_, number) => String(number * 2)),
    )
    await client.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    const back = await returningClient(t, 'd1', identity)
    await backend.publishAsync('devices/d1/open', 'marker', { qos: 1 })
    await back.inbox.message('marker')
    assert.equal(back.inbox.all.length, 1, 'nothing is left in the queue')
    await back.client.endAsync()
  })

  test('a message that several subscriptions match is delivered once, and leaves nothing in the queue', async () => {
    const identity = await t.roll.enroll('d1')
    const { client, inbox: seen } = await returningClient(t, 'd1', identity)
    await client
      .subscribeAsync(['devices/d1/#', 'devices/d1/+', 'devices/+/a', 'devices/d1/a'], { qos: 1 })
      .catch(() => {})
    await Promise.all(
      Array.from({ length: 50 }, (_, number) =>
        backend.publishAsync('devices/d1/a', String(number), { qos: 1 }),
      ),
    )
    await until(() => seen.all.some(({ payload }) => payload === '49'))
    assert.deepEqual([client.connected, seen.all.length], [true, 50])
    await client.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    const back = await returningClient(t, 'd1', identity)
    await backend.publishAsync('devices/d1/a', 'marker', { qos: 1 })
    await back.inbox.message('marker')
    assert.equal(back.inbox.all.length, 1)
    await back.client.endAsync()
  })
})
