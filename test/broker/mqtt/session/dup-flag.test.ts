// The DUP flag says that this very delivery was tried before, and nothing of how the broker got the message (MQTT 3.1.1 §3.3.1.1).
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { Identity } from '../../../harness/authority.ts'
import { startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import {
  acknowledgement,
  packetsOf,
  publishQos1,
  publishQos2,
  type RawPacket,
  rawSession,
  subscribePacket,
} from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

const DUP = 0x08
const SUBACK = 9
const PUBLISH = 3
const PUBREL = 6

let t: TestBroker
let device: Identity

beforeEach(async () => {
  t = await startTestBroker()
  device = await t.roll.enroll('d1')
})
afterEach(() => t.close())

const marked = (packet: Buffer): Buffer => {
  packet[0]! |= DUP
  return packet
}
const firsts = (packets: RawPacket[]) =>
  packets.filter(({ kind }) => kind === PUBLISH).map(({ bytes }) => bytes[0])

async function subscribed(clean: boolean, qos: 0 | 1 | 2): Promise<[TLSSocket, RawPacket[]]> {
  const socket = await rawSession(t, device, { clientId: 'd1', clean })
  const packets = packetsOf(socket)
  socket.write(subscribePacket(1, ['devices/d1/x'], qos))
  await until(() => packets.some(({ kind }) => kind === SUBACK))
  return [socket, packets]
}

for (const [qos, expected] of [
  [0, 0x30],
  [1, 0x32],
] as const)
  test(`what a device sends again is new to a receiver that gets it for the first time, at QoS ${qos} [MQTT-3.3.1-3]`, async () => {
    const [socket, packets] = await subscribed(true, qos)
    socket.write(marked(publishQos1('devices/d1/x', 7, 'again')))
    socket.write(marked(publishQos2('devices/d1/x', 8, 'again')))
    await until(() => firsts(packets).length === 2)
    assert.equal(firsts(packets)[0], expected)
    assert.equal(firsts(packets)[1]! & DUP, 0)
    socket.destroy()
  })

test('PUBREL that is sent again has no such flag [MQTT-3.6.1-1]', async () => {
  const [first, before] = await subscribed(false, 2)
  first.write(publishQos2('devices/d1/x', 1, 'sent'))
  await until(() => firsts(before).length === 1)
  const { bytes } = before.find(({ kind }) => kind === PUBLISH)!
  const messageId = bytes.readUInt16BE(bytes.indexOf('sent') - 2)
  first.write(acknowledgement(5, messageId))
  await until(() => before.some(({ kind }) => kind === PUBREL))
  first.destroy()
  await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
  const second = await rawSession(t, device, { clientId: 'd1', clean: false })
  const after = packetsOf(second)
  await until(() => after.length > 0)
  assert.deepEqual(after[0]?.bytes, acknowledgement(PUBREL, messageId))
  second.destroy()
})

test('what was sent and not acknowledged is sent again as such, and nothing else is [MQTT-3.3.1-1]', async () => {
  const [first, before] = await subscribed(false, 1)
  first.write(publishQos1('devices/d1/x', 1, 'sent'))
  await until(() => firsts(before).length === 1)
  first.destroy()
  await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
  const backend = await rawSession(t, await t.roll.enroll('b1', { groups: ['backend'] }), { clientId: 'b1' })
  const answers = packetsOf(backend)
  backend.write(publishQos1('devices/d1/x', 1, 'waits'))
  await until(() => answers.length === 1)
  const second = await rawSession(t, device, { clientId: 'd1', clean: false })
  const after = packetsOf(second)
  await until(() => firsts(after).length === 2)
  assert.deepEqual([firsts(before), firsts(after)], [[0x32], [0x3a, 0x32]])
  backend.destroy()
  second.destroy()
})
