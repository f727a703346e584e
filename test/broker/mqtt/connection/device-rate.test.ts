// A device that sends more than it may is read slower: nothing of it is lost, it is told nothing, and others are served meanwhile.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { Identity } from '../../../harness/authority.ts'
import { mqttClient, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { openInbox } from '../../../harness/inbox.ts'
import {
  acknowledgement,
  packetsOf,
  publishPacket,
  publishQos1,
  rawSession,
  subscribePacket,
  visit,
} from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

const PUBACK = 4
const SUBACK = 9
const PINGRESP = 13
const PINGREQ = Buffer.from([0xc0, 0])
const DISCONNECT = Buffer.from([0xe0, 0])

let t: TestBroker
let d1: Identity
beforeEach(async () => {
  t = await startTestBroker({
    settings: {
      deviceMessagesPerSecond: 50,
      deviceMessagesBurst: 20,
      deviceBytesPerSecond: 100_000,
      deviceBytesBurst: 50_000,
      backendFactor: 100,
    },
  })
  d1 = await t.roll.enroll('d1')
})
afterEach(() => t.close())

const burst = (count: number, payload = 'x') =>
  Buffer.concat(Array.from({ length: count }, (_, index) => publishQos1('devices/d1/x', index + 1, payload)))

async function slowed(): Promise<number> {
  const line = (await t.broker.metrics()).split('\n').find(one => /^rollcall_devices_slowed_total /.test(one))
  return Number(line?.split(' ')[1])
}

test('its messages come no faster than burst and rate allow, in order and all of them', async () => {
  const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
  const inbox = openInbox(backend)
  await backend.subscribeAsync('devices/d1/#', { qos: 0 })
  const device = await rawSession(t, d1, { clientId: 'd1' })
  const packets = packetsOf(device)
  const began = performance.now()
  device.write(burst(70))
  await until(() => packets.length === 70)
  assert.ok(performance.now() - began >= 970, 'the last waits for forty-nine beyond the burst')
  await until(() => inbox.all.length === 70)
  const acknowledged = packets.map(({ kind, bytes }) => [kind, bytes.readUInt16BE(2)])
  assert.deepEqual(
    acknowledged,
    Array.from({ length: 70 }, (_, index) => [PUBACK, index + 1]),
  )
  await t.line(line => /sends more than it may/.test(line.msg) && line.deviceId === 'd1')
  assert.ok((await slowed()) > 0)
  device.destroy()
  await backend.endAsync()
})

for (const [name, kind] of Object.entries({ PUBACK: 4, PUBREC: 5, PUBREL: 6, PUBCOMP: 7 } as const))
  test(`${name} that answers nothing counts as a message`, async () => {
    const device = await rawSession(t, d1, { clientId: 'd1' })
    const packets = packetsOf(device)
    const began = performance.now()
    const pongs = () => packets.filter(packet => packet.kind === PINGRESP).length
    device.write(Buffer.concat([...Array.from({ length: 70 }, () => acknowledgement(kind, 7)), PINGREQ]))
    await until(() => pongs() === 1)
    assert.ok(performance.now() - began >= 970, 'the last waits for fifty beyond the burst')
    device.destroy()
  })

test('what answers the broker is free', async () => {
  const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
  const device = await visit(t, d1, { clientId: 'd1', clean: true })
  await device.ask(subscribePacket(1, ['devices/d1/#'], 1), SUBACK)
  await Promise.all(
    Array.from({ length: 10 }, () => backend.publishAsync('devices/d1/commands/x', 'x', { qos: 1 })),
  )
  const acknowledgements = Array.from({ length: 10 }, (_, index) => acknowledgement(PUBACK, index + 1))
  await device.ask(Buffer.concat([...acknowledgements, burst(15), PINGREQ]), PINGRESP)
  assert.equal(await slowed(), 0, 'seventeen of twenty')
  device.cut()
  await backend.endAsync()
})

test('its bytes come no faster than burst and rate allow', async () => {
  const device = await rawSession(t, d1, { clientId: 'd1' })
  const packets = packetsOf(device)
  const began = performance.now()
  for (let id = 1; id <= 3; id += 1) device.write(publishQos1('devices/d1/x', id, 'x'.repeat(50_000)))
  await until(() => packets.length === 3)
  assert.ok(performance.now() - began >= 500, 'the third waits for the bytes of the second')
  device.destroy()
})

test('coming back or taking its session over gives it no new burst', async () => {
  const began = performance.now()
  const first = await visit(t, d1, { clientId: 'd1', clean: true })
  await first.ask(burst(20), PUBACK)
  const second = await visit(t, d1, { clientId: 'd1', clean: true })
  const other = packetsOf(await rawSession(t, d1, { clientId: 'd1' }))
  second.cut()
  const device = await rawSession(t, d1, { clientId: 'd1' })
  const packets = packetsOf(device)
  device.write(burst(60))
  await until(() => packets.length === 60)
  assert.ok(performance.now() - began >= 1_000 * (59 / 50), 'eighty came, of which twenty at once')
  assert.deepEqual(other, [])
  device.destroy()
})

test('SUBSCRIBE takes a token for each filter, so that asking again and again is no way around', async () => {
  const device = await visit(t, d1, { clientId: 'd1', clean: true })
  const filters = Array.from({ length: 45 }, (_, index) => `devices/d1/${index}`)
  const began = performance.now()
  await device.ask(subscribePacket(1, filters), SUBACK)
  await device.ask(PINGREQ, PINGRESP)
  assert.ok(performance.now() - began >= 490)
  device.cut()
})

test('what it sent before it left is passed on, and its DISCONNECT is seen behind it', async () => {
  const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
  const inbox = openInbox(backend)
  await backend.subscribeAsync('devices/d1/#', { qos: 0 })
  const will = { topic: 'devices/d1/will', payload: 'gone' }
  const device = await rawSession(t, d1, { clientId: 'd1', will })
  device.end(
    Buffer.concat([...Array.from({ length: 40 }, () => publishPacket('devices/d1/x', 'x')), DISCONNECT]),
  )
  await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
  await until(() => inbox.all.length === 40)
  assert.ok(!inbox.all.some(({ topic }) => topic === 'devices/d1/will'))
  await backend.endAsync()
})

test('a backend may send as many times as much as backendFactor says', async () => {
  const backend = await visit(t, await t.roll.enroll('b1', { groups: ['backend'] }), { clientId: 'b1' })
  await backend.ask(Buffer.concat([burst(1_500), PINGREQ]), PINGRESP)
  assert.equal(await slowed(), 0)
  backend.cut()
})

test('a device that is read slower is not taken for silent', async () => {
  const device = await rawSession(t, d1, { clientId: 'd1', keepalive: 1 })
  const packets = packetsOf(device)
  device.write(burst(20))
  device.write(
    subscribePacket(
      100,
      Array.from({ length: 150 }, (_, index) => `devices/d1/${index}`),
    ),
  )
  await until(() => packets.length === 21)
  device.write(publishQos1('devices/d1/x', 101, 'x'))
  await until(() => packets.length === 22)
  assert.equal(device.destroyed, false)
  device.destroy()
})

test('another device does not wait for it', async () => {
  const other = await visit(t, await t.roll.enroll('d2'), { clientId: 'd2', clean: true })
  const device = await rawSession(t, d1, { clientId: 'd1' })
  const packets = packetsOf(device)
  device.write(burst(220))
  await until(() => packets.length > 20)
  await other.ask(PINGREQ, PINGRESP)
  assert.ok(packets.length < 220, 'it was asked and answered meanwhile')
  device.destroy()
  other.cut()
})
