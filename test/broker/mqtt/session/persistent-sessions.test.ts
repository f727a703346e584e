// A kept session exists even where it is empty (MQTT 3.1.1 §3.1.2.4): told to be present, over every end of connection and
// broker, until a clean one or the end of its right takes it.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../../../harness/authority.ts'
import { attempt, mqttClient, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { type ForkedBroker, forkBroker } from '../../../harness/fork.ts'
import { type Inbox, openInbox } from '../../../harness/inbox.ts'
import {
  acknowledgement,
  publishQos1,
  publishQos2,
  subscribePacket,
  type Visit,
  visit,
} from '../../../harness/raw-client.ts'
import { createRoll, type Roll, tester } from '../../../harness/roll.ts'

const PUBREC = 5
const PUBREL = 6
const PUBCOMP = 7
const SUBACK = 9

/** Connects, cuts the connection, and gives whether a session was there. */
async function wasPresent(open: Promise<Visit>): Promise<boolean> {
  const { present, cut } = await open
  cut()
  return present
}

describe('a kept session', () => {
  let t: TestBroker
  beforeEach(async () => {
    t = await startTestBroker()
  })
  afterEach(() => t.close())

  const come = (identity: Identity, clean = false) => visit(t, identity, { clientId: 'd1', clean })

  async function acted(epoch: Promise<number>): Promise<void> {
    const awaited = await epoch
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === awaited)
  }

  test('is present though it holds nothing, also to a connection that takes it over', async () => {
    const identity = await t.roll.enroll('d1')
    const first = await come(identity)
    assert.equal(first.present, false)
    const second = await come(identity)
    assert.equal(second.present, true, 'taken over')
    second.cut()
    assert.equal(await wasPresent(come(identity)), true)
  })

  test('is present where its last subscription has gone', async () => {
    const identity = await t.roll.enroll('d1')
    const device = await come(identity)
    await device.ask(subscribePacket(1, ['devices/d1/#'], 1), SUBACK)
    const topic = Buffer.from('devices/d1/#')
    await device.ask(Buffer.concat([Buffer.from([0xa2, 4 + topic.length, 0, 2, 0, topic.length]), topic]), 11)
    device.cut()
    assert.equal(await wasPresent(come(identity)), true)
  })

  test('ends with a clean one, which leaves none behind', async () => {
    const identity = await t.roll.enroll('d1')
    await wasPresent(come(identity))
    assert.equal(await wasPresent(come(identity, true)), false)
    assert.equal(await wasPresent(come(identity, true)), false)
    assert.equal(await wasPresent(come(identity)), false)
    assert.equal(await wasPresent(come(identity)), true)
  })

  for (const live of [true, false]) {
    const how = live ? 'taken over' : 'gone'
    test(`knows no identifier of the clean one that it follows (${how})`, async () => {
      const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
      const inbox = openInbox(backend)
      await backend.subscribeAsync('devices/#', { qos: 2 })
      const identity = await t.roll.enroll('d1')
      const clean = await come(identity, true)
      await clean.ask(publishQos2('devices/d1/x', 7, 'of the clean one'), PUBREC)
      if (!live) clean.cut()
      const device = await come(identity)
      assert.equal(device.present, false)
      await device.ask(publishQos2('devices/d1/x', 7, 'of the kept one'), PUBREC)
      await inbox.message('of the kept one')
      device.cut()
      const back = await come(identity)
      assert.equal(back.present, true)
      await back.ask(publishQos2('devices/d1/x', 7, 'again'), PUBREC)
      await back.ask(acknowledgement(PUBREL, 7), PUBCOMP)
      await back.ask(publishQos2('devices/d1/x', 7, 'last'), PUBREC)
      await inbox.message('last')
      assert.equal(
        inbox.all.some(({ payload }) => payload === 'again'),
        false,
      )
      back.cut()
      await backend.endAsync(true)
    })
  }

  test('takes packets that come right behind CONNECT', async () => {
    const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
    const inbox = openInbox(backend)
    await backend.subscribeAsync('devices/#', { qos: 1 })
    const identity = await t.roll.enroll('d1')
    const numbers = Array.from({ length: 40 }, (_, index) => index + 1)
    for (const round of ['new', 'known']) {
      const all = numbers.map(id => publishQos1('devices/d1/x', id, `${round} ${id}`))
      const device = await visit(t, identity, { clientId: 'd1' }, Buffer.concat(all))
      await inbox.message(`${round} 40`)
      device.cut()
    }
    await backend.endAsync(true)
  })

  test('is not begun by a CONNECT that is refused', async () => {
    const identity = await t.roll.enroll('d1')
    const other = await t.roll.enroll('d2')
    const will = { topic: 'devices/d2/x' }
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1', clean: false, will } }), 'connack 5')
    assert.equal(
      await attempt(t, { identity: other, connect: { clientId: 'd1', clean: false } }),
      'connack 2',
    )
    await acted(t.roll.writer.setDeviceState('d1', 'suspended', tester))
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1', clean: false } }), 'connack 5')
    await acted(t.roll.writer.setDeviceState('d1', 'active', tester))
    assert.equal(await wasPresent(come(identity)), false)
  })

  test('stays while its device is suspended, and with a certificate that still admits', async () => {
    const old = await t.roll.enroll('d1')
    const fresh = await t.roll.issuing.issue({ name: 'd1' })
    await t.roll.list('d1', fresh)
    await wasPresent(come(old))
    await acted(t.roll.writer.setDeviceState('d1', 'suspended', tester))
    await acted(t.roll.writer.setDeviceState('d1', 'active', tester))
    await acted(t.roll.writer.revokeCertificate(old.fingerprint, 'superseded', tester))
    assert.equal(await wasPresent(come(fresh)), true)
  })

  for (const inside of [true, false]) {
    test(`ends with the last certificate of its device, ${inside ? 'inside' : 'away'}`, async () => {
      const identity = await t.roll.enroll('d1')
      const device = await come(identity)
      if (!inside) {
        device.cut()
        await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
      }
      await acted(t.roll.writer.revokeCertificate(identity.fingerprint, 'keyCompromise', tester))
      const fresh = await t.roll.issuing.issue({ name: 'd1' })
      await t.roll.list('d1', fresh)
      assert.equal(await wasPresent(come(fresh)), false)
    })
  }

  test('ends when its device is decommissioned', async () => {
    const identity = await t.roll.enroll('d1')
    await wasPresent(come(identity))
    await acted(t.roll.writer.setDeviceState('d1', 'decommissioned', tester))
    // No verb brings a device back: done by hand to see what is left.
    t.roll.registry.sqlite.exec("UPDATE devices SET state = 'active' WHERE id = 'd1'")
    assert.equal(await wasPresent(come(identity)), false)
  })
})

const ends = {
  'its connection was cut': async () => {},
  'the broker stopped in order': (broker: ForkedBroker) => broker.close(),
  'the broker was killed': (broker: ForkedBroker) => broker.kill(),
}

for (const [end, meanwhile] of Object.entries(ends)) {
  describe(`a kept session after ${end}`, () => {
    let roll: Roll
    let broker: ForkedBroker
    let backend: Identity
    beforeEach(async () => {
      roll = await createRoll()
      backend = await roll.enroll('b1', { groups: ['backend'] })
      broker = await forkBroker(roll)
    })
    afterEach(async () => {
      await broker.close()
      await roll.close()
    })

    const come = (identity: Identity, clean = false) =>
      visit({ broker, roll }, identity, { clientId: 'd1', clean })

    async function ended(): Promise<void> {
      await meanwhile(broker)
      if (end.startsWith('the broker')) broker = await forkBroker(roll)
    }

    async function listen(): Promise<{ client: MqttClient; inbox: Inbox }> {
      const client = await mqttClient({ broker, roll }, 'b1', backend)
      const inbox = openInbox(client)
      await client.subscribeAsync('devices/#', { qos: 2 })
      return { client, inbox }
    }

    test('is present though it holds nothing', async () => {
      const identity = await roll.enroll('d1')
      const device = await come(identity)
      assert.equal(device.present, false)
      await ended()
      device.cut()
      assert.equal(await wasPresent(come(identity)), true)
      await ended()
      assert.equal(await wasPresent(come(identity)), true, 'and stays so')
    })

    test('is not present where a clean one has ended it', async () => {
      const identity = await roll.enroll('d1')
      const kept = await come(identity)
      await kept.ask(publishQos2('devices/d1/x', 7), PUBREC)
      kept.cut()
      await wasPresent(come(identity, true))
      await ended()
      assert.equal(await wasPresent(come(identity)), false)
    })

    test('finishes its own QoS 2, delivered once', async () => {
      const identity = await roll.enroll('d1')
      const before = await listen()
      const device = await come(identity)
      await device.ask(publishQos2('devices/d1/x', 7, 'once'), PUBREC)
      await before.inbox.message('once')
      await ended()
      device.cut()
      await before.client.endAsync(true)
      const { client, inbox } = await listen()
      const back = await come(identity)
      assert.equal(back.present, true)
      await back.ask(publishQos2('devices/d1/x', 7, 'once'), PUBREC)
      assert.deepEqual(await back.ask(acknowledgement(PUBREL, 7), PUBCOMP), acknowledgement(PUBCOMP, 7))
      await back.ask(publishQos2('devices/d1/x', 7, 'another'), PUBREC)
      await inbox.message('another')
      assert.deepEqual(
        inbox.all.map(({ payload }) => payload),
        ['another'],
      )
      back.cut()
      await client.endAsync(true)
    })
  })
}
