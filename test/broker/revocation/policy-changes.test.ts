// A policy changes while devices are connected, away, or have left something: with real sockets and the change feed.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import { closeRegistry } from '../../../db/index.ts'
import { openForReading } from '../../../db/open.ts'
import { createPolicyReader } from '../../../db/policies/policy-reader.ts'
import type { Identity } from '../../harness/authority.ts'
import { mqttClient, returningClient, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { gone, type Inbox, openInbox } from '../../harness/inbox.ts'
import { ended, publishQos2, rawSession } from '../../harness/raw-client.ts'
import { defaultPolicy, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

describe('a change of policy', () => {
  let t: TestBroker
  let backend: MqttClient
  let inbox: Inbox
  let watcher: Identity | undefined

  beforeEach(async () => {
    watcher = undefined
    t = await startTestBroker()
    backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
    inbox = openInbox(backend)
    await backend.subscribeAsync('devices/+/up', { qos: 1 })
  })
  afterEach(async () => {
    await backend.endAsync(true)
    await t.close()
  })

  /** Resolves once the broker has acted on it: within a second, and within a few on a machine that is busy with others. */
  async function acted(epoch: Promise<number>): Promise<void> {
    const begin = performance.now()
    const awaited = await epoch
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === awaited)
    assert.ok(performance.now() - begin < 5_000, 'not at once')
  }
  const deny = (actions: string[], topics: string[], kind: 'device' | 'everyone', target: string) =>
    t.roll.writer
      .putPolicy(
        `deny-${target}`,
        { name: `deny-${target}`, statements: [{ effect: 'deny', actions, topics }] },
        tester,
      )
      .then(() => t.roll.writer.attachPolicy(`deny-${target}`, kind, target, tester))
  const allow = (actions: string[], topics: string[], device: string) =>
    t.roll.writer
      .putPolicy(
        `allow-${device}`,
        { name: `allow-${device}`, statements: [{ effect: 'allow', actions, topics }] },
        tester,
      )
      .then(() => t.roll.writer.attachPolicy(`allow-${device}`, 'device', device, tester))
  const send = (topic: string, payload: string, more = {}) =>
    backend.publishAsync(topic, payload, { qos: 1, ...more })
  const topicsOf = (seen: Inbox) => seen.all.map(message => message.topic)

  test('drops the subscriptions that are denied now, keeps the others and the connection', async () => {
    const device = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
    const seen = openInbox(device)
    await device.subscribeAsync(['devices/d1/a', 'devices/d1/b/#'], { qos: 1 })
    await acted(deny(['subscribe'], ['devices/d1/b/#'], 'device', 'd1'))
    await send('devices/d1/b/x', 'denied')
    await send('devices/d1/a', 'allowed')
    await seen.message('allowed')
    assert.deepEqual(topicsOf(seen), ['devices/d1/a'])
    await t.line(line => line.msg === 'denied' && line.deviceId === 'd1')
    // What was dropped does not come back with the right: the device asks anew.
    await acted(t.roll.writer.detachPolicy('deny-d1', 'device', 'd1', tester))
    await send('devices/d1/b/x', 'still dropped')
    await device.subscribeAsync('devices/d1/b/#', { qos: 1 })
    await send('devices/d1/b/x', 'asked anew')
    await seen.message('asked anew')
    assert.equal(topicsOf(seen).length, 2)
    await device.endAsync()
  })

  test('that denies a part of a subscription filters message by message', async () => {
    const device = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
    const seen = openInbox(device)
    await device.subscribeAsync('devices/d1/#', { qos: 1 })
    await acted(deny(['receive'], ['devices/+/secret'], 'everyone', ''))
    await send('devices/d1/secret', 'denied')
    await send('devices/d1/open', 'allowed')
    await seen.message('allowed')
    assert.deepEqual(topicsOf(seen), ['devices/d1/open'])
    await device.endAsync()
  })

  test('reaches the next publish of a live session, and a right that is given too', async () => {
    const device = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
    await acted(allow(['publish'], ['devices/other/up'], 'd1'))
    await device.publishAsync('devices/other/up', 'given', { qos: 1 })
    await inbox.message('given')
    await acted(t.roll.writer.detachPolicy('allow-d1', 'device', 'd1', tester))
    device.publish('devices/other/up', 'taken')
    await gone(device)
    assert.equal(inbox.all.length, 1)
  })

  test('threat 9: takes a retained message out of sight with its publisher’s right', async () => {
    const device = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
    await device.publishAsync('devices/d1/state', 'old', { qos: 1, retain: true })
    await device.endAsync()
    await acted(deny(['publish', 'will'], ['devices/d1/state'], 'device', 'd1'))
    assert.deepEqual(await retainedSeen('devices/d1/#'), [])
    await acted(t.roll.writer.detachPolicy('deny-d1', 'device', 'd1', tester))
    assert.deepEqual(await retainedSeen('devices/d1/#'), ['devices/d1/state'])
    await acted(deny(['retain'], ['#'], 'device', 'd1'))
    assert.deepEqual(await retainedSeen('devices/d1/#'), [])
  })

  test('threat 9: a retained message is never shown to a device that may not receive it any more', async () => {
    await send('devices/d1/secret', 'kept', { retain: true })
    await send('devices/d1/open', 'kept too', { retain: true })
    const other = await t.roll.enroll('d2', { groups: ['backend'] })
    await acted(deny(['receive'], ['devices/+/secret'], 'device', 'd2'))
    assert.deepEqual(await retainedSeen('devices/d1/#', 'd2', other), ['devices/d1/open'])
    assert.deepEqual(await retainedSeen('devices/d1/secret', 'd2', other), [])
  })

  /** The retained messages that a fresh subscription of a backend is shown: all that come before a marker. */
  async function retainedSeen(filter: string, id = 'watcher', known = watcher): Promise<string[]> {
    const identity = known ?? (await t.roll.enroll(id, { groups: ['backend'] }))
    if (id === 'watcher') watcher = identity
    const client = await mqttClient(t, id, identity)
    const seen = openInbox(client)
    await client.subscribeAsync([filter, `devices/${id}/marker`], { qos: 1 })
    await client.publishAsync(`devices/${id}/marker`, 'marker', { qos: 1 })
    await seen.message('marker')
    await client.endAsync()
    return topicsOf(seen)
      .filter(topic => !topic.endsWith('/marker'))
      .sort()
  }

  test('threat 9: the subscription of a session that is away dies with the right, and its queue is not delivered', async () => {
    const identity = await t.roll.enroll('d1')
    const device = await mqttClient(t, 'd1', identity, { clean: false })
    await device.subscribeAsync(['devices/d1/a', 'devices/d1/b'], { qos: 1 })
    await device.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    await send('devices/d1/b', 'queued before')
    await acted(deny(['subscribe', 'receive'], ['devices/d1/b'], 'device', 'd1'))
    await send('devices/d1/b', 'never queued')
    await send('devices/d1/a', 'queued')
    await acted(t.roll.writer.detachPolicy('deny-d1', 'device', 'd1', tester))
    await send('devices/d1/b', 'after the right came back')
    const { client, inbox: seen, sessionPresent } = await returningClient(t, 'd1', identity)
    await seen.message('queued')
    await client.subscribeAsync('devices/d1/marker', { qos: 1 })
    await send('devices/d1/marker', 'marker')
    await seen.message('marker')
    assert.equal(sessionPresent, true)
    // What was queued before stood on a right that holds again; the subscription itself is gone.
    assert.deepEqual(topicsOf(seen), ['devices/d1/b', 'devices/d1/a', 'devices/d1/marker'])
    assert.equal(seen.all[0]?.payload, 'queued before')
    await client.endAsync()
  })

  test('threat 9: what was queued is not delivered once the right is gone', async () => {
    const identity = await t.roll.enroll('d1')
    const device = await mqttClient(t, 'd1', identity, { clean: false })
    await device.subscribeAsync('devices/d1/#', { qos: 1 })
    await device.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    await send('devices/d1/secret', 'queued')
    await send('devices/d1/open', 'open')
    await acted(deny(['receive'], ['devices/d1/secret'], 'device', 'd1'))
    const { client, inbox: seen } = await returningClient(t, 'd1', identity)
    await seen.message('open')
    assert.deepEqual(topicsOf(seen), ['devices/d1/open'])
    await client.endAsync()
  })

  test('threat 9: an unfinished QoS 2 message is judged again when it is sent again', async () => {
    const identity = await t.roll.enroll('d1')
    const connect = { clientId: 'd1', clean: false }
    const first = await rawSession(t, identity, connect)
    first.write(publishQos2('devices/d1/up', 7))
    await inbox.message('')
    first.destroy()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    await acted(deny(['publish'], ['devices/d1/up'], 'device', 'd1'))
    const second = await rawSession(t, identity, connect)
    const again = publishQos2('devices/d1/up', 7)
    again[0]! |= 0x08 // DUP
    second.write(again)
    await ended(second)
    await t.line(line => line.reason === 'publish_denied' && line.deviceId === 'd1')
    assert.equal(inbox.all.length, 1)
  })

  test('of attributes or groups counts as well', async () => {
    const device = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
    const seen = openInbox(device)
    await acted(allow(['subscribe'], [`sites/\${device.attr.site}/#`], 'd1'))
    await acted(t.roll.writer.putPolicy('default', everywhere, tester))
    await t.roll.writer.changeDevice('d1', { attributes: { site: 'north' } }, tester)
    await until(async () => (await granted(device, 'sites/north/x')) === 1)
    await send('sites/north/x', 'in the north')
    await seen.message('in the north')
    await t.roll.writer.changeDevice('d1', { attributes: { site: 'south' } }, tester)
    await until(async () => (await granted(device, 'sites/north/x')) === 0x80)
    await device.endAsync()
  })
  const everywhere = {
    ...defaultPolicy,
    statements: [...defaultPolicy.statements, { effect: 'allow', actions: ['publish'], topics: ['sites/#'] }],
  }

  function granted(client: MqttClient, filter: string): Promise<number | undefined> {
    return new Promise(resolve => {
      client.subscribe(filter, { qos: 1 }, (_, __, packet) => resolve(packet?.granted?.[0] as number))
    })
  }

  test('live subscriptions are noted in the registry, and forgotten with the session and the broker', async () => {
    const identity = await t.roll.enroll('d1')
    const device = await mqttClient(t, 'd1', identity)
    await device.subscribeAsync(['devices/d1/a', 'devices/d1/b'], { qos: 1 })
    const reading = openForReading(`${t.roll.data}/registry.db`)
    const reader = createPolicyReader(reading)
    const noted = () => reader.subscriptions('d1')[0]?.filters ?? []
    await until(() => noted().length === 2)
    await device.unsubscribeAsync('devices/d1/b')
    await until(() => noted().length === 1)
    assert.deepEqual(reader.subscriptions('d1'), [
      { fingerprint: identity.fingerprint, filters: ['devices/d1/a'], complete: true },
    ])
    const again = await mqttClient(t, 'd1', identity)
    await again.subscribeAsync('devices/d1/c', { qos: 1 })
    await until(() => noted()[0] === 'devices/d1/c')
    await again.endAsync()
    await until(() => noted().length === 0)
    assert.equal(reader.subscriptions('b1').length, 1)
    await t.broker.close()
    const left = reading.sqlite.prepare('SELECT count(*) FROM session_subscriptions').pluck().get()
    assert.equal(left, 0)
    await closeRegistry(reading)
  })
})
