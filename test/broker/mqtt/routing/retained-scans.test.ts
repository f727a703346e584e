// Retained messages are looked for a few at a time, whatever the filters: a client that asks for many of them delays no other, and one that
// asks again and again without reading makes nothing grow.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { mqttClient, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { openInbox } from '../../../harness/inbox.ts'
import { packetsOf, publishQos1, rawSession, subscribePacket, visit } from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

const PUBLISH = 3
const PUBACK = 4
const PINGRESP = 13
const PINGREQ = Buffer.from([0xc0, 0])
const RETAIN = 1

let t: TestBroker
beforeEach(async () => {
  t = await startTestBroker({
    settings: {
      deviceMessagesPerSecond: 1_000_000,
      deviceMessagesBurst: 1_000_000,
      deviceRetainedBytesMax: 8_000_000,
    },
  })
})
afterEach(() => t.close())

function retained(topic: string, messageId: number, payload: string): Buffer {
  const packet = publishQos1(topic, messageId, payload)
  packet[0]! |= RETAIN
  return packet
}

test('a client that subscribes again and again without reading gets them in the end, and the broker goes on', async () => {
  const d1 = await t.roll.enroll('d1')
  const owner = await visit(t, d1, { clientId: 'd1', clean: true })
  for (let id = 1; id <= 10; id += 1)
    await owner.ask(retained(`devices/d1/${id}`, id, 'x'.repeat(60_000)), PUBACK)
  const device = await rawSession(t, d1, { clientId: 'd1', keepalive: 0 })
  device.pause()
  const again = Buffer.concat(Array.from({ length: 1_000 }, () => subscribePacket(1, ['devices/d1/#'])))
  const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
  const inbox = openInbox(backend)
  await backend.subscribeAsync('devices/d1/done')
  const other = await visit(t, await t.roll.enroll('d2'), { clientId: 'd2' })
  for (let round = 0; round < 20; round += 1) {
    device.write(again)
    await other.ask(PINGREQ, PINGRESP)
  }
  device.write(publishQos1('devices/d1/done', 1, 'x'))
  await until(() => inbox.all.length === 1, 20_000)
  const packets = packetsOf(device)
  device.resume()
  await until(() => packets.some(({ bytes }) => bytes.includes('devices/d1/10')))
  await other.ask(PINGREQ, PINGRESP)
  device.destroy()
  await backend.endAsync()
  other.cut()
})

test('a device is shown no faster than it may send, over its connections too, and is served meanwhile', async () => {
  const settings = { deviceMessagesPerSecond: 50, deviceMessagesBurst: 20 }
  const slow = await startTestBroker({ settings })
  try {
    const d1 = await slow.roll.enroll('d1')
    const backend = await visit(slow, await slow.roll.enroll('b1', { groups: ['backend'] }), {
      clientId: 'b1',
    })
    for (let id = 1; id <= 40; id += 1) await backend.ask(retained(`devices/d1/${id}`, id, 'x'), PUBACK)
    const began = performance.now()
    for (const filter of ['devices/d1/+', 'devices/d1/#']) {
      const device = await rawSession(slow, d1, { clientId: 'd1' })
      const packets = packetsOf(device)
      const shown = () => packets.filter(({ kind }) => kind === PUBLISH).length
      device.write(Buffer.concat([subscribePacket(1, [filter]), PINGREQ]))
      await until(() => packets.some(({ kind }) => kind === PINGRESP))
      assert.ok(shown() < 40, 'it was answered before all was shown')
      await until(() => shown() === 40)
      device.destroy()
    }
    assert.ok(performance.now() - began >= 1_000 * (59 / 50), 'eighty were shown, of which twenty at once')
    backend.cut()
  } finally {
    await slow.close()
  }
})
