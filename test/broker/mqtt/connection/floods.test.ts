// Clients that send too much, too deep or too many, or do not read: bounded, and only they pay.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../../../harness/authority.ts'
import {
  connectPacket,
  field,
  mqttClient,
  openTls,
  remainingLength,
  startTestBroker,
  type TestBroker,
} from '../../../harness/broker.ts'
import { openInbox } from '../../../harness/inbox.ts'
import {
  ended,
  packet,
  packetsOf,
  publishPacket,
  publishQos2,
  rawSession,
  subscribePacket,
} from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

let t: TestBroker
let d1: Identity
let backend: MqttClient
beforeEach(async () => {
  t = await startTestBroker({
    settings: {
      packetBytesMax: 200_000,
      subscriptionsMax: 50,
      inflightInboundMax: 10,
      outboundBytesMax: 65_536,
      deviceRetainedMessagesMax: 5,
      outboundTimeoutMs: 300,
    },
  })
  d1 = await t.roll.enroll('d1')
  backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
})
afterEach(async () => {
  await backend.endAsync(true)
  await t.close()
})

/** The most work that was done in one turn of the event loop, in time on a processor: that of others does not count. */
function workPerTurn() {
  let before = process.cpuUsage()
  let mostMicroseconds = 0
  return {
    ends() {
      const { user, system } = process.cpuUsage(before)
      before = process.cpuUsage()
      mostMicroseconds = Math.max(mostMicroseconds, user + system)
    },
    mostMs: () => mostMicroseconds / 1_000,
  }
}

/** Everybody else is served as before. */
async function assertServing(): Promise<void> {
  const inbox = openInbox(backend)
  await backend.subscribeAsync('devices/b1/marker', { qos: 1 })
  await backend.publishAsync('devices/b1/marker', 'marker', { qos: 1 })
  await inbox.message('marker')
}

test('a packet over packetBytesMax closes the session at its header, with its reason', async () => {
  const socket = await rawSession(t, d1, { clientId: 'd1' })
  socket.write(Buffer.concat([Buffer.from([0x30]), remainingLength(200_001)]))
  await ended(socket)
  await t.line(line => line.reason === 'packet_too_large' && line.deviceId === 'd1')
  await assertServing()
})

test('a packet of just packetBytesMax passes', async () => {
  const inbox = openInbox(backend)
  await backend.subscribeAsync('devices/d1/x', { qos: 0 })
  const device = await rawSession(t, d1, { clientId: 'd1' })
  const topic = 'devices/d1/x'
  device.write(publishPacket(topic, Buffer.alloc(200_000 - 2 - topic.length, 'y')))
  await until(() => inbox.all.length === 1)
  device.destroy()
})

test('a CONNECT over connectBytesMax is refused though later packets may be larger', async () => {
  const socket = await openTls(t, { identity: d1 })
  const will = { topic: 'devices/d1/w', payload: 'x'.repeat(65_000) }
  socket.write(
    Buffer.concat([
      Buffer.from([0x10]),
      remainingLength(65_537),
      connectPacket({ clientId: 'd1', will }).subarray(3),
    ]),
  )
  await ended(socket)
  await t.line(line => line.reason === 'packet_too_large')
})

test('more than 4,000 topic filters in one packet end the connection before any is looked at', async () => {
  const filters = Array.from({ length: 50_000 }, () => 'x')
  const unsubscribe = packet(0xa2, Buffer.concat([Buffer.from([0, 1]), ...filters.map(field)]))
  for (const sent of [
    subscribePacket(1, filters),
    subscribePacket(1, filters.slice(0, 4_001)),
    unsubscribe,
  ]) {
    const socket = await rawSession(t, d1, { clientId: 'd1' })
    const packets = packetsOf(socket)
    socket.write(sent)
    await ended(socket)
    assert.deepEqual(packets, [])
  }
  await assertServing()
})

for (const clean of [true, false]) {
  test(`4,000 subscriptions in one packet stay within subscriptionsMax and stall nobody, ${clean ? 'clean' : 'persistent'} session`, async () => {
    const socket = await rawSession(t, d1, { clientId: 'd1', clean })
    const filters = Array.from({ length: 4_000 }, (_, index) => `devices/d1/${index}`)
    let granted = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      granted = Buffer.concat([granted, chunk])
    })
    const turn = workPerTurn()
    socket.write(subscribePacket(1, filters, 1))
    await until(() => {
      turn.ends()
      return granted.length >= 4_000
    })
    assert.ok(turn.mostMs() < 400, `stalled for ${turn.mostMs()} ms`)
    assert.equal(granted.subarray(-4_000).filter(code => code !== 0x80).length, 50)
    await assertServing()
    if (!clean) {
      socket.destroy()
      await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
      const back = await rawSession(t, d1, { clientId: 'd1', clean })
      back.destroy()
    }
  })
}

test('topics and filters of too many levels close the session, the deepest ones too', async () => {
  const deep = `devices/d1${'/a'.repeat(70)}`
  for (const packet of [
    publishPacket(deep, 'x'),
    subscribePacket(1, [deep]),
    publishPacket(`devices/d1${'/'.repeat(65_000)}`, 'x'),
    subscribePacket(1, [`devices/d1${'/+'.repeat(30_000)}`]),
    publishPacket('/'.repeat(65_535), 'x'),
  ]) {
    const socket = await rawSession(t, d1, { clientId: 'd1' })
    socket.write(packet)
    await ended(socket)
  }
  await assertServing()
})

test('QoS 2 without PUBREL is bounded by inflightInboundMax', async () => {
  const socket = await rawSession(t, d1, { clientId: 'd1' })
  for (let id = 1; id <= 40; id += 1) socket.write(publishQos2('devices/d1/x', id))
  await ended(socket)
  await assertServing()
})

test('retained messages are bounded by deviceRetainedMessagesMax, replaced and cleared ones make room', async () => {
  const retain = (device: MqttClient, name: string, payload: string) =>
    device.publishAsync(`devices/d1/${name}`, payload, { qos: 1, retain: true })
  const first = await mqttClient(t, 'd1', d1)
  for (let index = 0; index < 5; index += 1) await retain(first, `r${index}`, 'kept')
  retain(first, 'r5', 'refused').catch(() => {})
  await t.line(line => line.msg === 'cut' && line.reason === 'quota_exceeded')
  const device = await mqttClient(t, 'd1', d1)
  await retain(device, 'r0', 'replaced')
  await retain(device, 'r1', '')
  await retain(device, 'r8', 'kept')
  await device.endAsync()
  const inbox = openInbox(backend)
  await backend.subscribeAsync('devices/d1/#', { qos: 1 })
  await until(() => inbox.all.length === 5)
  assert.deepEqual(inbox.all.map(({ topic }) => topic.slice(11)).sort(), ['r0', 'r2', 'r3', 'r4', 'r8'])
})

test('a client that does not read is bounded, dropped from and closed, and others are served meanwhile', async () => {
  const slow = await rawSession(t, d1, { clientId: 'd1', keepalive: 0 })
  slow.write(subscribePacket(1, ['devices/d1/flood'], 1))
  await until(() => slow.bytesRead > 0)
  slow.pause()
  slow.removeAllListeners('data')
  const payload = 'x'.repeat(50_000)
  const flood = (async () => {
    while (!t.lines.some(line => line.reason === 'consumer_too_slow')) {
      await backend.publishAsync('devices/d1/flood', payload, { qos: 0 })
      await backend.publishAsync('devices/d1/flood', payload, { qos: 1 })
    }
  })()
  const other = await mqttClient(t, 'd2', await t.roll.enroll('d2'))
  const inbox = openInbox(other)
  await other.subscribeAsync('devices/d2/x', { qos: 1 })
  await other.publishAsync('devices/d2/x', 'served', { qos: 1 })
  await inbox.message('served')
  await flood
  await t.line(line => line.msg === 'cut' && line.reason === 'consumer_too_slow' && line.deviceId === 'd1')
  await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
  await other.endAsync()
  slow.destroy()
})
