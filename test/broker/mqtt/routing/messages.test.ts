// Messages between devices and backends: every quality of service, retained ones, and what a policy forbids.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../../../harness/authority.ts'
import { mqttClient, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { gone, type Inbox, openInbox } from '../../../harness/inbox.ts'
import { until } from '../../../harness/until.ts'

describe('messages', () => {
  let t: TestBroker
  let d1: Identity
  let backend: MqttClient
  let inbox: Inbox

  before(async () => {
    t = await startTestBroker()
    d1 = await t.roll.enroll('d1')
    await t.roll.enroll('d2')
    backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
    inbox = openInbox(backend)
    await backend.subscribeAsync('devices/#', { qos: 2 })
  })
  after(async () => {
    await backend.endAsync()
    await t.close()
  })

  for (const qos of [0, 1, 2] as const) {
    test(`travel from device to backend and back with QoS ${qos}`, async () => {
      const device = await mqttClient(t, 'd1', d1)
      const commands = openInbox(device)
      await device.subscribeAsync('devices/d1/commands', { qos })
      await device.publishAsync('devices/d1/telemetry', `up ${qos}`, { qos })
      const up = await inbox.message(`up ${qos}`)
      assert.deepEqual(up, { topic: 'devices/d1/telemetry', payload: `up ${qos}`, qos, retain: false })
      await backend.publishAsync('devices/d1/commands', `down ${qos}`, { qos })
      assert.equal((await commands.message(`down ${qos}`)).qos, qos)
      await device.endAsync()
    })
  }

  test('are kept where retained, given to later subscribers, and gone when cleared', async () => {
    const device = await mqttClient(t, 'd1', d1)
    await device.publishAsync('devices/d1/state', 'kept', { qos: 1, retain: true })
    const seen = openInbox(device)
    await device.subscribeAsync('devices/d1/state')
    assert.equal((await seen.message('kept')).retain, true)
    await device.publishAsync('devices/d1/state', '', { qos: 1, retain: true })
    await device.unsubscribeAsync('devices/d1/state')
    const again = openInbox(device)
    await device.subscribeAsync('devices/d1/#', { qos: 1 })
    await device.publishAsync('devices/d1/marker', 'after', { qos: 1 })
    await again.message('after')
    assert.deepEqual(
      again.all.map(message => message.topic),
      ['devices/d1/marker'],
    )
    await device.endAsync()
  })

  test('are shown to a new subscriber as they are by then: nothing older comes after what is newer', async () => {
    const device = await mqttClient(t, 'd1', d1)
    const topics = Array.from({ length: 200 }, (_, at) => `devices/d1/many/${at}`)
    const say = (text: string) =>
      Promise.all(topics.map(topic => device.publishAsync(topic, text, { qos: 1, retain: true })))
    await say('old')
    const reader = await mqttClient(t, 'b2', await t.roll.enroll('b2', { groups: ['backend'] }))
    const newest = new Map<string, string>()
    let changed: Promise<unknown> | null = null
    reader.on('message', (topic, payload) => {
      newest.set(topic, payload.toString())
      changed ??= say('new')
    })
    await reader.subscribeAsync('devices/d1/many/#', { qos: 1 })
    await until(() => newest.size === topics.length && changed !== null)
    await changed
    await device.publishAsync('devices/d1/many/end', 'end', { qos: 1 })
    await until(() => newest.has('devices/d1/many/end'))
    assert.deepEqual(
      topics.filter(topic => newest.get(topic) !== 'new'),
      [],
    )
    await say('')
    await Promise.all([device.endAsync(), reader.endAsync()])
  })

  test('close the connection where the policy does not allow the publish, and reach nobody', async () => {
    for (const topic of ['devices/d2/telemetry', 'devices', 'other', 'devices/d10/x', 'Devices/d1/x']) {
      const device = await mqttClient(t, 'd1', d1)
      device.publish(topic, 'forbidden', { qos: 0 })
      await gone(device)
    }
    await t.line(line => line.msg === 'cut' && line.reason === 'publish_denied')
    await backend.publishAsync('devices/x', 'marker of denial', { qos: 1 })
    await inbox.message('marker of denial')
    assert.equal(
      inbox.all.some(message => message.payload === 'forbidden'),
      false,
    )
  })

  test('are refused with 0x80 where the policy does not allow the subscription, beside ones it does', async () => {
    const device = await mqttClient(t, 'd1', d1)
    const filters = [
      'devices/d1/#',
      '#',
      '+/+/#',
      'devices/#',
      'devices/+/x',
      'devices/d2/#',
      '$SYS/#',
      '$share/g/devices/d1/#',
    ]
    const grants = await new Promise<number[]>(resolve => {
      device.on('packetreceive', packet => {
        if (packet.cmd === 'suback') resolve(packet.granted as number[])
      })
      device.subscribe(filters, { qos: 1 }, () => {})
    })
    assert.deepEqual(grants, [1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1])
    await t.line(line => line.msg === 'denied' && line.reason === 'subscribe_denied')
    await device.endAsync()
  })

  test('threat 10: a subscription to # yields nothing forbidden', async () => {
    await backend.publishAsync('devices/d2/secret', 'retained secret', { qos: 1, retain: true })
    const device = await mqttClient(t, 'd1', d1, { clean: false })
    const seen = openInbox(device)
    await device.subscribeAsync(['#', 'devices/d1/#', '+/#', '/#'], { qos: 1 }).catch(() => {})
    await backend.publishAsync('devices/d2/secret', 'secret', { qos: 1 })
    await backend.publishAsync('devices/d1/commands', 'mine', { qos: 1 })
    await seen.message('mine')
    await device.endAsync()
    await backend.publishAsync('devices/d2/secret', 'secret while away', { qos: 1 })
    const back = await mqttClient(t, 'd1', d1, { clean: false })
    const later = openInbox(back)
    await backend.publishAsync('devices/d1/commands', 'mine again', { qos: 1 })
    await later.message('mine again')
    assert.deepEqual(
      [...seen.all, ...later.all]
        .map(message => message.topic)
        .filter(topic => !topic.startsWith('devices/d1/')),
      [],
    )
    await back.endAsync()
  })
})
