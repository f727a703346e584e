// Retained messages are looked for a few at a time, whatever the filters: one who asks for many of them holds up nobody, and one who
// asks for them again and again without reading makes nothing grow.
import { afterEach, beforeEach, test } from 'node:test'
import { mqttClient, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { openInbox } from '../../../harness/inbox.ts'
import { packetsOf, publishQos1, rawSession, subscribePacket, visit } from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

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

test('who subscribes again and again without reading gets them in the end, and the broker goes on', async () => {
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
