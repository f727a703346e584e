// One device retains what it may and no more: beyond, its PUBLISH is refused, not acknowledged and passed on to nobody, and no
// retained message of anybody goes because of it.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Identity } from '../../../harness/authority.ts'
import { mqttClient, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { openInbox } from '../../../harness/inbox.ts'
import {
  acknowledgement,
  publishPacket,
  publishQos1,
  publishQos2,
  subscribePacket,
  visit,
} from '../../../harness/raw-client.ts'
import { createRoll, type Roll, tester } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'

const PUBACK = 4
const PUBREC = 5
const PUBCOMP = 7
const SUBACK = 9
const PINGRESP = 13
const RETAIN = 1
const PINGREQ = Buffer.from([0xc0, 0])

const settings = {
  deviceRetainedMessagesMax: 4,
  deviceRetainedBytesMax: 16_000,
  retainedMessagesMax: 1_000,
  retainedBytesMax: 40_000,
  backendFactor: 2,
}

let roll: Roll
let t: TestBroker
let hostile: Identity
let honest: Identity
let backend: Identity
beforeEach(async () => {
  roll = await createRoll()
  t = await startTestBroker({ roll, settings })
  hostile = await roll.enroll('hostile')
  honest = await roll.enroll('honest')
  backend = await roll.enroll('b1', { groups: ['backend'] })
})
afterEach(async () => {
  await t.close()
  await roll.close()
})

const come = (identity: Identity, clientId: string) => visit(t, identity, { clientId, clean: true })

function retained(topic: string, messageId: number, payload: string, qos: 1 | 2 = 1): Buffer {
  const packet = qos === 1 ? publishQos1(topic, messageId, payload) : publishQos2(topic, messageId, payload)
  packet[0]! |= RETAIN
  return packet
}

/** Retains as a device of its own, and gives whether that was acknowledged. */
async function retains(
  identity: Identity,
  clientId: string,
  topic: string,
  payload: string,
  qos: 1 | 2 = 1,
): Promise<boolean> {
  const device = await come(identity, clientId)
  const answer = await device.ask(retained(topic, 1, payload, qos), qos === 1 ? PUBACK : PUBREC)
  if (qos === 2 && String(answer) !== 'closed') await device.ask(acknowledgement(6, 1), PUBCOMP)
  device.cut()
  return String(answer) !== 'closed'
}

async function figure(name: string): Promise<number> {
  const line = (await t.broker.metrics()).split('\n').find(one => one.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1))
}

/** All that is retained below `devices/`, as a backend is shown it: topics, and lengths of payloads. */
async function shown(): Promise<Record<string, number>> {
  const id = `b-${Math.random()}`
  const client = await mqttClient(t, id, await roll.enroll(id, { groups: ['backend'] }))
  const inbox = openInbox(client)
  await client.subscribeAsync('devices/#', { qos: 0 })
  const count = await figure('rollcall_retained_messages')
  await until(() => inbox.all.length === count)
  await client.endAsync()
  return Object.fromEntries(inbox.all.map(({ topic, payload }) => [topic, payload.length]))
}

describe('a device that retains more than it may', () => {
  for (const qos of [1, 2] as const) {
    test(`is refused with its reason, and what it refuses is passed on to nobody (QoS ${qos})`, async () => {
      const listener = await mqttClient(t, 'b1', backend)
      const inbox = openInbox(listener)
      await listener.subscribeAsync('devices/hostile/#', { qos: 2 })
      for (const name of ['1', '2', '3', '4'])
        assert.equal(await retains(hostile, 'hostile', `devices/hostile/${name}`, 'x', qos), true)
      assert.equal(await retains(hostile, 'hostile', 'devices/hostile/5', 'refused', qos), false)
      const line = await t.line(one => one.msg === 'denied' && one.reason === 'quota_exceeded')
      assert.deepEqual([line.deviceId, line['topic']], ['hostile', 'devices/hostile/5'])
      await t.line(one => one.msg === 'cut' && one.reason === 'quota_exceeded' && one.deviceId === 'hostile')
      for (const name of ['rollcall_denials_total', 'rollcall_cuts_total'])
        assert.equal(await figure(`${name}{reason="quota_exceeded"}`), 1)
      await retains(hostile, 'hostile', 'devices/hostile/1', '', qos)
      assert.equal(await retains(hostile, 'hostile', 'devices/hostile/5', 'taken', qos), true, 'it made room')
      await inbox.message('taken')
      assert.ok(!inbox.all.some(({ payload }) => String(payload) === 'refused'))
      await listener.endAsync()
    })
  }

  test('is refused a message of QoS 2 again when it comes again, and not told PUBREC for it', async () => {
    for (const name of ['1', '2', '3', '4']) await retains(hostile, 'hostile', `devices/hostile/${name}`, 'x')
    for (let times = 0; times < 2; times += 1) {
      const device = await visit(t, hostile, { clientId: 'hostile', clean: false })
      assert.equal(String(await device.ask(retained('devices/hostile/5', 7, 'x', 2), PUBREC)), 'closed')
    }
    assert.equal('devices/hostile/5' in (await shown()), false)
  })

  test('is refused at QoS 0 too, where nobody is told', async () => {
    const device = await come(hostile, 'hostile')
    const packets = ['1', '2', '3', '4', '5'].map(name => publishPacket(`devices/hostile/${name}`, 'x', true))
    await device.ask(Buffer.concat([...packets, PINGREQ]), PINGRESP)
    await t.line(line => line.msg === 'cut' && line.reason === 'quota_exceeded')
    assert.equal(Object.keys(await shown()).length, 4)
  })

  test('takes nothing from another, whose longer update is kept or refused and never costs it the old value', async () => {
    assert.equal(await retains(honest, 'honest', 'devices/honest/state', 'x'.repeat(100)), true)
    for (const name of ['1', '2', '3', '4']) {
      await retains(hostile, 'hostile', `devices/hostile/${name}`, 'x'.repeat(3_000))
      await retains(backend, 'b1', `devices/b1/${name}`, 'x'.repeat(4_000))
    }
    assert.equal(await retains(honest, 'honest', 'devices/honest/state', 'x'.repeat(12_000)), false)
    assert.equal((await shown())['devices/honest/state'], 100, 'not acknowledged, and the old one is kept')
    assert.equal(await retains(honest, 'honest', 'devices/honest/state', 'x'.repeat(100)), true)
    assert.equal(await retains(honest, 'honest', 'devices/honest/state', 'x'.repeat(50)), true)
    assert.equal((await shown())['devices/honest/state'], 50)
  })

  test('is charged for what it publishes over the message of another, and may not where it is full', async () => {
    const topic = 'devices/honest/config'
    assert.equal(await retains(backend, 'b1', topic, 'of the backend'), true)
    assert.equal(await retains(honest, 'honest', topic, 'of the device'), true)
    for (const name of ['1', '2', '3'])
      assert.equal(await retains(honest, 'honest', `devices/honest/${name}`, 'x'), true)
    assert.equal(await retains(honest, 'honest', 'devices/honest/4', 'x'), false)
    assert.equal(await retains(backend, 'b1', topic, 'again'), true)
    assert.equal(await retains(honest, 'honest', 'devices/honest/4', 'x'), true, 'it is charged no more')
    assert.equal(await retains(honest, 'honest', topic, 'mine'), false)
    assert.equal((await shown())[topic], 'again'.length)
  })
})

test('a backend has more room, by the policy that names it', async () => {
  for (let name = 1; name <= 8; name += 1)
    assert.equal(await retains(backend, 'b1', `devices/d${name}/config`, 'x'), true)
  assert.equal(await retains(backend, 'b1', 'devices/d9/config', 'x'), false)
})

test('what a device retains counts after a restart as before, and bounds that were lowered take nothing away', async () => {
  for (const name of ['1', '2', '3', '4']) await retains(hostile, 'hostile', `devices/hostile/${name}`, 'xx')
  await t.close()
  t = await startTestBroker({ roll, settings: { ...settings, deviceRetainedMessagesMax: 2 } })
  assert.equal(await retains(hostile, 'hostile', 'devices/hostile/5', 'x'), false)
  assert.equal(await retains(hostile, 'hostile', 'devices/hostile/4', 'x'), true, 'it does not grow')
  assert.equal(Object.keys(await shown()).length, 4)
  await retains(hostile, 'hostile', 'devices/hostile/3', '')
  assert.equal(await retains(hostile, 'hostile', 'devices/hostile/4', 'xx'), true, 'within its bytes')
  assert.equal(await retains(hostile, 'hostile', 'devices/hostile/3', 'x'), false)
})

test('what is taken from a decommissioned device is charged to nobody', async () => {
  for (const name of ['1', '2', '3', '4']) await retains(hostile, 'hostile', `devices/hostile/${name}`, 'x')
  const epoch = await roll.writer.setDeviceState('hostile', 'decommissioned', tester)
  await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch)
  await until(async () => (await figure('rollcall_retained_bytes')) === 0)
})

test('a will that its device may not retain is sent without RETAIN, and the old value stays', async () => {
  const topic = 'devices/hostile/4'
  for (const name of ['1', '2', '3', '4']) await retains(hostile, 'hostile', `devices/hostile/${name}`, 'x')
  const listener = await mqttClient(t, 'b1', backend)
  const inbox = openInbox(listener)
  await listener.subscribeAsync('devices/hostile/#', { qos: 1 })
  const will = { topic: 'devices/hostile/will', payload: 'gone', qos: 1, retain: true }
  const device = await visit(t, hostile, { clientId: 'hostile', will })
  await device.ask(subscribePacket(1, ['devices/hostile/x']), SUBACK)
  device.cut()
  await inbox.message('gone')
  await t.line(line => line['queue'] === 'retained' && line.deviceId === 'hostile')
  await listener.endAsync()
  const kept = await shown()
  assert.deepEqual([kept['devices/hostile/will'], kept[topic]], [undefined, 1])
})
