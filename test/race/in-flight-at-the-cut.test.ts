// A right that ends while messages are on their way, over real TLS: what was acknowledged is delivered, what comes after is
// not, and what waits is kept or forgotten as the right says.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../harness/authority.ts'
import {
  attempt,
  connectPacket,
  mqttClient,
  openTls,
  returningClient,
  startTestBroker,
  type TestBroker,
} from '../harness/broker.ts'
import { type Inbox, openInbox } from '../harness/inbox.ts'
import {
  acknowledgement,
  ended,
  packetsOf,
  publishQos1,
  publishQos2,
  subscribePacket,
} from '../harness/raw-client.ts'
import { tester } from '../harness/roll.ts'
import { until } from '../harness/until.ts'

const PUBACK = 4
const PUBREC = 5
const PUBREL = 6
const PUBCOMP = 7
const PUBLISH = 3

async function within<T>(waiting: Promise<T>, what: string): Promise<T> {
  let deadline: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    deadline = setTimeout(() => reject(new Error(`${what} did not arrive`)), 30_000)
  })
  return Promise.race([waiting, late]).finally(() => clearTimeout(deadline))
}

describe('a right that ends while messages are on their way', () => {
  let t: TestBroker
  let backend: MqttClient
  let inbox: Inbox

  beforeEach(async () => {
    t = await startTestBroker()
    backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
    inbox = openInbox(backend)
    await backend.subscribeAsync('devices/+/up', { qos: 2 })
  })
  afterEach(async () => {
    await backend.endAsync(true)
    await t.close()
  })

  async function acted(epoch: Promise<number>): Promise<void> {
    const awaited = await epoch
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === awaited)
  }
  const revoke = (fingerprint: string) =>
    acted(t.roll.writer.revokeCertificate(fingerprint, 'keyCompromise', tester))
  const send = (id: string, payload: string) =>
    backend.publishAsync(`devices/${id}/commands`, payload, { qos: 1 })
  const received = (topic: string) =>
    inbox.all.filter(message => message.topic === topic).map(message => message.payload)

  /** All that was published before has arrived at the backend. */
  async function settled(marker: string): Promise<void> {
    await backend.publishAsync('devices/b1/up', marker, { qos: 1 })
    await inbox.message(marker)
  }

  /** A second certificate of the device, so that its session outlives the first. */
  async function second(id: string): Promise<Identity> {
    const identity = await t.roll.issuing.issue({ name: id })
    await t.roll.list(id, identity)
    return identity
  }

  /** A persistent session byte by byte, subscribed to its commands, with the packets it gets. */
  async function persistent(id: string, identity: Identity) {
    const socket = await openTls(t, { identity })
    const packets = packetsOf(socket)
    socket.write(connectPacket({ clientId: id, clean: false, keepalive: 0 }))
    await until(() => packets.length > 0)
    assert.equal(packets[0]!.bytes[3], 0)
    socket.write(subscribePacket(1, [`devices/${id}/commands`], 1))
    await until(() => packets.some(({ kind }) => kind === 9))
    return { socket, packets, of: (kind: number) => packets.filter(packet => packet.kind === kind) }
  }

  test('QoS 1: what was acknowledged is delivered, in order, and nothing of it after the cut', async () => {
    for (let round = 0; round < 12; round += 1) {
      const id = `d${round}`
      const identity = await t.roll.enroll(id)
      const socket = await openTls(t, { identity })
      const packets = packetsOf(socket)
      socket.on('error', () => {})
      socket.write(connectPacket({ clientId: id, keepalive: 0 }))
      await until(() => packets.length > 0)
      let sent = 0
      const stream = setInterval(() => {
        for (let burst = 0; burst < 5 && !socket.destroyed; burst += 1)
          socket.write(publishQos1(`devices/${id}/up`, sent + 1, String(++sent)))
      }, 1)
      await until(() => sent > round * 10)
      await revoke(identity.fingerprint)
      await settled(`after ${id}`)
      const delivered = received(`devices/${id}/up`)
      await ended(socket)
      clearInterval(stream)
      const acknowledged = packets.filter(({ kind }) => kind === PUBACK).length
      assert.ok(
        delivered.length >= acknowledged,
        `${acknowledged} acknowledged, ${delivered.length} delivered`,
      )
      assert.deepEqual(
        delivered,
        delivered.map((_, index) => String(index + 1)),
      )
      await settled(`much after ${id}`)
      assert.equal(
        received(`devices/${id}/up`).length,
        delivered.length,
        'nothing after the acknowledged cut',
      )
      assert.equal(await attempt(t, { identity, connect: { clientId: id } }), 'connack 5')
    }
  })

  test('QoS 2: cut between PUBREC and PUBREL, the other certificate finishes it and it arrived once', async () => {
    const old = await t.roll.enroll('d1')
    const fresh = await second('d1')
    const device = await persistent('d1', old)
    device.socket.write(publishQos2('devices/d1/up', 7))
    await until(() => device.of(PUBREC).length === 1)
    await revoke(old.fingerprint)
    device.socket.on('error', () => {})
    device.socket.write(acknowledgement(PUBREL, 7))
    await ended(device.socket)
    assert.equal(device.of(PUBCOMP).length, 0)

    const again = await persistent('d1', fresh)
    const repeated = publishQos2('devices/d1/up', 7)
    repeated[0]! |= 0x08 // DUP
    again.socket.write(repeated)
    await until(() => again.of(PUBREC).length === 1)
    again.socket.write(acknowledgement(PUBREL, 7))
    await until(() => again.of(PUBCOMP).length === 1)
    await settled('after QoS 2')
    assert.deepEqual(received('devices/d1/up'), [''])
    again.socket.destroy()
  })

  test('QoS 2: unfinished when the last certificate is revoked, it is forgotten: the same ID is a new message', async () => {
    const old = await t.roll.enroll('d1')
    const device = await persistent('d1', old)
    device.socket.write(publishQos2('devices/d1/up', 7))
    await until(() => device.of(PUBREC).length === 1)
    await revoke(old.fingerprint)
    await ended(device.socket)
    const again = await persistent('d1', await second('d1'))
    again.socket.write(publishQos2('devices/d1/up', 7))
    await until(() => again.of(PUBREC).length === 1)
    await settled('after both')
    assert.deepEqual(received('devices/d1/up'), ['', ''])
    again.socket.destroy()
  })

  test('threat 9: a message that was sent and not acknowledged is judged again when it is sent again', async () => {
    const identity = await t.roll.enroll('d1')
    const device = await persistent('d1', identity)
    await send('d1', 'not acknowledged')
    await until(() => device.of(PUBLISH).length === 1)
    await acted(t.roll.writer.setDeviceState('d1', 'suspended', tester))
    await ended(device.socket)
    await acted(t.roll.writer.setDeviceState('d1', 'active', tester))
    const again = await persistent('d1', identity)
    await until(() => again.of(PUBLISH).length === 1)
    assert.ok(again.of(PUBLISH)[0]!.bytes.includes('not acknowledged'), 'suspension keeps it')
    again.socket.destroy()
    await t.line(line => line.msg === 'disconnected' && line.reason !== 'device_suspended')
    const deny = { effect: 'deny', actions: ['receive'], topics: ['devices/d1/commands'] }
    await t.roll.writer.putPolicy('quiet', { name: 'quiet', statements: [deny] }, tester)
    await acted(t.roll.writer.attachPolicy('quiet', 'device', 'd1', tester))
    const third = await returningClient(t, 'd1', identity)
    await third.client.subscribeAsync('devices/d1/marker', { qos: 1 })
    await third.client.publishAsync('devices/d1/marker', 'marker', { qos: 1 })
    await third.inbox.message('marker')
    assert.deepEqual(
      third.inbox.all.map(({ payload }) => payload),
      ['marker'],
    )
    await third.client.endAsync()
  })

  test('what is on its way to a revoked device stays unsent, and its queue does not come back', async () => {
    for (let round = 0; round < 8; round += 1) {
      const id = `d${round}`
      const identity = await t.roll.enroll(id)
      const device = await persistent(id, identity)
      const flood = flooding(id)
      await until(() => device.of(PUBLISH).length > round * 20)
      await revoke(identity.fingerprint)
      await send(id, 'after the cut')
      await ended(device.socket)
      await flood.stop()
      assert.equal(
        device.of(PUBLISH).some(({ bytes }) => bytes.includes('after the cut')),
        false,
      )
      const { client, inbox: seen, sessionPresent } = await returningClient(t, id, await second(id))
      await client.subscribeAsync(`devices/${id}/marker`, { qos: 1 })
      await client.publishAsync(`devices/${id}/marker`, 'marker', { qos: 1 })
      await seen.message('marker')
      assert.deepEqual([seen.all.map(({ payload }) => payload), sessionPresent], [['marker'], false])
      await client.endAsync()
    }
  })

  test('what is on its way to a suspended device is lost nowhere: it has it, or gets it when it is back', async () => {
    for (let round = 0; round < 8; round += 1) {
      const id = `d${round}`
      const identity = await t.roll.enroll(id)
      const device = await persistent(id, identity)
      const flood = flooding(id)
      await until(() => device.of(PUBLISH).length > round * 20)
      await acted(t.roll.writer.setDeviceState(id, 'suspended', tester))
      await ended(device.socket)
      const sent = await flood.stop()
      await acted(t.roll.writer.setDeviceState(id, 'active', tester))
      const { client, inbox: seen } = await returningClient(t, id, identity)
      // Nothing was acknowledged by the device: all of it is owed.
      for (const payload of sent) await within(seen.message(payload), payload)
      await client.endAsync()
    }
  })

  /** Commands as fast as the backend is told that they are taken. */
  function flooding(id: string) {
    const sent: string[] = []
    let going = true
    const run = Promise.all(
      Array.from({ length: 5 }, async (_, lane) => {
        for (let number = 0; going && sent.length < 900; number += 1) {
          const payload = `${lane}-${number}`
          await send(id, payload)
          sent.push(payload)
        }
      }),
    )
    return {
      async stop() {
        going = false
        await run
        return sent
      },
    }
  }
})
