// Names that mean something to JavaScript, to MQTT or to a path, and topics that belong to the broker.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../../harness/authority.ts'
import { attempt, mqttClient, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { gone, type Inbox, openInbox } from '../../harness/inbox.ts'
import { ended, publishPacket, rawSession } from '../../harness/raw-client.ts'
import { tester } from '../../harness/roll.ts'

const inherited = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']

describe('names', () => {
  let t: TestBroker
  let d1: Identity
  let backend: MqttClient
  let backendIdentity: Identity
  let inbox: Inbox

  before(async () => {
    t = await startTestBroker()
    const attributes = JSON.parse('{"__proto__": "x", "constructor": "y", "toString": "z"}')
    await t.roll.writer.addDevice({ id: 'd1', attributes: {}, groups: ['plain'] }, tester)
    // The API refuses such attributes and groups; here they are on record all the same.
    const { sqlite } = t.roll.registry
    sqlite.prepare("UPDATE devices SET attributes = ? WHERE id = 'd1'").run(JSON.stringify(attributes))
    for (const name of inherited) sqlite.prepare("INSERT INTO device_groups VALUES ('d1', ?)").run(name)
    d1 = await t.roll.issuing.issue({ name: 'd1' })
    await t.roll.list('d1', d1)
    const topics = inherited.map(name => `attributes/\${device.attr.${name}}/#`)
    const statement = { effect: 'allow', actions: ['publish', 'subscribe'], topics }
    await t.roll.writer.putPolicy('odd', { name: 'odd', statements: [statement] }, tester)
    await t.roll.writer.attachPolicy('odd', 'everyone', '', tester)
    backendIdentity = await t.roll.enroll('b1', { groups: ['backend'] })
    backend = await mqttClient(t, 'b1', backendIdentity)
    inbox = openInbox(backend)
    await backend.subscribeAsync('devices/#', { qos: 1 })
  })
  after(async () => {
    await backend.endAsync()
    await t.close()
  })

  test('threat 5: a device ID with # + / $ or NUL, or of an object, cannot be made', async () => {
    for (const id of [
      '#',
      '+',
      'a/b',
      '$SYS',
      'a\0',
      '',
      '.',
      '..',
      'a b',
      'ä',
      'x'.repeat(129),
      ...inherited,
    ]) {
      await assert.rejects(
        t.roll.writer.addDevice({ id, attributes: {}, groups: [] }, tester),
        `${JSON.stringify(id)} was made`,
      )
    }
  })

  for (const name of inherited) {
    test(`threat 5: ${name} is harmless as topic, filter, client ID, username, group and attribute`, async () => {
      assert.equal(await attempt(t, { identity: d1, connect: { clientId: name } }), 'connack 2')
      const device = await mqttClient(t, 'd1', d1, { clean: false, username: name })
      const own = openInbox(device)
      await device.subscribeAsync([`devices/d1/${name}`, `devices/d1/${name}/#`], { qos: 1 })
      await assert.rejects(device.subscribeAsync([name, `${name}/#`]))
      await device.publishAsync(`devices/d1/${name}`, `by ${name}`, { qos: 2, retain: true })
      await own.message(`by ${name}`)
      await inbox.message(`by ${name}`)
      await device.unsubscribeAsync([name, `devices/d1/${name}`])
      device.publish(name, 'x')
      await gone(device)
    })
  }

  test('threat 5: attributes named so grant just what they say', async () => {
    const device = await mqttClient(t, 'd1', d1)
    await device.publishAsync('attributes/y/x', 'by constructor', { qos: 1 })
    await assert.rejects(device.subscribeAsync('attributes/[object Object]/x'))
    await device.endAsync()
  })

  test('threat 11: $SYS is closed for publishing, backends included', async () => {
    for (const [id, identity] of [
      ['d1', d1],
      ['b2', await t.roll.enroll('b2', { groups: ['backend'] })],
    ] as const) {
      for (const topic of ['$SYS/broker/uptime', '$SYS/x/new/clients', '$other']) {
        const socket = await rawSession(t, identity, { clientId: id })
        socket.write(publishPacket(topic, 'forged'))
        await ended(socket)
      }
    }
    assert.ok(backend.connected)
  })

  test('threat 11: $SYS is closed for subscribing, directly and by wildcard, whatever a policy says', async () => {
    const identity = await t.roll.enroll('b3', { groups: ['backend'] })
    const statement = {
      effect: 'allow',
      actions: ['publish', 'subscribe', 'receive'],
      topics: ['#', '$SYS/#', '+/#'],
    }
    await t.roll.writer.putPolicy('all', { name: 'all', statements: [statement] }, tester)
    const epoch = await t.roll.writer.attachPolicy('all', 'device', 'b3', tester)
    await t.line(line => line['epoch'] === epoch)
    const client = await mqttClient(t, 'b3', identity)
    const seen = openInbox(client)
    for (const filter of ['$SYS/#', '$SYS/+/new/clients', '$SYS/broker/uptime', '$share/g/$SYS/#']) {
      await assert.rejects(client.subscribeAsync(filter), `${filter} was granted`)
    }
    // The broker's figures are retained, and no wildcard finds them either.
    await client.subscribeAsync(['#', '+/#', '+/broker/uptime', '+/+/new/clients'], { qos: 1 })
    // A client comes, subscribes, publishes and goes: all that aedes announces on its bus.
    const device = await mqttClient(t, 'd1', d1)
    await device.subscribeAsync('devices/d1/x')
    await device.publishAsync('devices/d1/marker', 'sys marker', { qos: 1 })
    await seen.message('sys marker')
    await device.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    await backend.publishAsync('devices/b1/marker', 'second marker', { qos: 1 })
    await seen.message('second marker')
    assert.deepEqual(
      seen.all.filter(message => message.topic.startsWith('$')),
      [],
    )
    await client.endAsync()
  })
})
