// What the broker keeps of a device for what it is sent: a hostile one fills each row of the table that its own packets do not, by
// reading or acknowledging nothing. A device that did the same before has warmed the code up.

import assert from 'node:assert/strict'
import { afterEach, beforeEach, type TestContext, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import { createThrottle } from '../../../broker/mqtt/connection/throttle.ts'
import { createDeviceBounds, memoryOfDevice } from '../../../broker/mqtt/device-bounds.ts'
import type { Client } from '../../../broker/mqtt/state.ts'
import { validateSettings } from '../../../broker/settings/validation.ts'
import { type Listening, mqttClient } from '../../harness/broker.ts'
import { type ForkedBroker, forkBroker } from '../../harness/fork.ts'
import { speak5 } from '../../harness/mqtt5-client.ts'
import { publish5, subscribe5 } from '../../harness/packets5.ts'
import {
  packetsOf,
  publishPacket,
  publishQos1,
  rawSession,
  subscribePacket,
  visit,
} from '../../harness/raw-client.ts'
import { createRoll, type Roll } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

const SUBACK = 9
const PUBLISH = 3
/** Of a connection itself and of code that runs on, which are none of the table's. */
const CONNECTION_BYTES = 256 * 1_024
const settings = validateSettings({})
const boundOf = (...rows: string[]) =>
  memoryOfDevice(settings)
    .filter(({ what }) => rows.includes(what))
    .reduce((sum, { bytes }) => sum + bytes, 0)

let roll: Roll
let broker: ForkedBroker
let at: Listening
let backend: MqttClient
// A broker for each: what the devices of one leave behind is freed some time later.
beforeEach(async () => {
  roll = await createRoll()
  broker = await forkBroker(roll, { settings: { sysIntervalMs: 0 } })
  at = { broker: broker as never, roll }
  backend = await mqttClient(at, 'b1', await roll.enroll('b1', { groups: ['backend'] }))
})
afterEach(async () => {
  await backend.endAsync(true)
  await broker.close()
  await roll.close()
})

const bytes = () => settled(broker)

/** What is sent is freed once the kernel has taken it. */
async function settled(of: ForkedBroker): Promise<number> {
  for (let before = Number.POSITIVE_INFINITY; ; ) {
    const { bytes: now } = await of.measure()
    if (Math.abs(now - before) < 16_384) return Math.min(now, before)
    before = now
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

const publish = async (topic: string, count: number, payloadBytes: number) => {
  for (let sent = 0; sent < count; sent += 1)
    await backend.publishAsync(topic, 'x'.repeat(payloadBytes), { qos: 1 })
}

/** Fills once to warm up, then again with another device; the growth of the second is within the bound, and at least `least`. */
async function assertRow(
  t: TestContext,
  rows: string[],
  least: number,
  fill: (id: string) => Promise<{ start: number; end: number; release(): void }>,
): Promise<void> {
  const id = t.name.replaceAll(/[^a-z]/g, '')
  ;(await fill(`warm-${id}`)).release()
  const { start, end, release } = await fill(`hostile-${id}`)
  release()
  const grown = end - start
  const most = boundOf(...rows) + CONNECTION_BYTES
  t.diagnostic(`${rows.join(', ')}: ${grown} of ${most} bytes`)
  assert.ok(grown <= most, `${grown} of ${most} bytes`)
  assert.ok(grown >= least, `${grown} bytes, where ${least} were to be kept: nothing was tried`)
}

test('a queue of 16 MB is handed out a page at a time to a device that does not read', async t => {
  // More than the kernel takes for a socket.
  const ownRoll = await createRoll()
  const own = await forkBroker(ownRoll, { settings: { sysIntervalMs: 0, offlineBytesMax: 67_108_864 } })
  const there: Listening = { broker: own as never, roll: ownRoll }
  const filler = await mqttClient(there, 'b2', await ownRoll.enroll('b2', { groups: ['backend'] }))
  try {
    const grown: number[] = []
    for (const id of ['warm-queue', 'hostile-queue']) {
      const identity = await ownRoll.enroll(id)
      const away = await visit(there, identity, { clientId: id })
      await away.ask(subscribePacket(1, [`devices/${id}/#`], 1), SUBACK)
      away.cut()
      for (let sent = 0; sent < 400; sent += 1)
        await filler.publishAsync(`devices/${id}/x`, 'x'.repeat(40_000), { qos: 1 })
      const start = await settled(own)
      const device = await rawSession(there, identity, { clientId: id, clean: false, keepalive: 0 })
      device.pause()
      await until(
        async () =>
          Number(/^rollcall_messages_sent_total (\d+)/m.exec((await own.measure()).metrics)?.[1]) > 0,
      )
      grown.push((await settled(own)) - start)
      device.destroy()
    }
    const most = boundOf('queue being handed out', 'unsent messages') + CONNECTION_BYTES
    t.diagnostic(`${grown[1]} of ${most} bytes`)
    assert.ok(grown[1]! <= most, `${grown[1]} of ${most} bytes`)
  } finally {
    await filler.endAsync(true)
    await own.close()
    await ownRoll.close()
  }
})

test('of messages at QoS 1 so many wait unsent as may, then the connection ends', async t => {
  await assertRow(t, ['unsent messages'], 1_000_000, async id => {
    const identity = await roll.enroll(id)
    const device = await rawSession(at, identity, { clientId: id, clean: true, keepalive: 0 })
    const packets = packetsOf(device)
    device.write(subscribePacket(1, [`devices/${id}/#`], 1))
    await until(() => packets.length === 1)
    device.pause()
    const start = await bytes()
    let end = start
    // The kernel takes more than this for a socket: until then there is nothing to measure.
    await publish(`devices/${id}/x`, 50, 50_000)
    for (let rounds = 0; rounds < 200; rounds += 1) {
      await publish(`devices/${id}/x`, 6, 50_000)
      const now = await bytes()
      // It was ended as slow, and nothing is kept any more.
      if (now < end - 1_000_000) break
      end = Math.max(end, now)
    }
    return { start, end, release: () => void device.destroy() }
  })
})

test('what is beyond the window of a session that is not kept waits in memory, the oldest dropped first', async t => {
  await assertRow(t, ['messages beyond its window'], 150_000, async id => {
    const connect = { clientId: id, properties: { receiveMaximum: 1 } }
    const device = await speak5(at, await roll.enroll(id), connect)
    await device.ask(subscribe5(1, `devices/${id}/#`), 'suback')
    const start = await bytes()
    await publish(`devices/${id}/x`, 40, 20_000)
    return { start, end: await bytes(), release: () => void device.cut() }
  })
})

test('what a member of a group has not acknowledged is kept for the others within a bound', async t => {
  const fill = async (id: string, filter: string) => {
    const device = await rawSession(at, await roll.enroll(id), { clientId: id, clean: true, keepalive: 0 })
    const packets = packetsOf(device)
    device.write(subscribePacket(1, [filter], 1))
    await until(() => packets.length === 1)
    const start = await bytes()
    await publish(`devices/${id}/x`, 300, 10_000)
    await until(() => packets.filter(({ kind }) => kind === PUBLISH).length === 300)
    const grown = (await bytes()) - start
    device.destroy()
    return grown
  }
  await fill('warm-group', '$share/g/devices/warm-group/#')
  const alone = await fill('alone', 'devices/alone/#')
  const grown = await fill('member', '$share/g/devices/member/#')
  const most = boundOf('redelivery of shared subscriptions')
  t.diagnostic(`${grown} of ${alone} for a connection and ${most} bytes`)
  assert.ok(grown <= alone + most + 65_536, `${grown} bytes, ${alone} without a group`)
  assert.ok(grown >= 700_000, `${grown} bytes: nothing was kept`)
})

test('topic aliases are kept both ways, as many as there may be', async t => {
  const DEVICES = 20
  const topicOf = (id: string, index: number) =>
    `devices/${id}/`.padEnd(settings.topicBytesMax - 2, 'x') + index
  const fill = async (id: string) => {
    const connect = { clientId: id, properties: { topicAliasMaximum: 16 } }
    const device = await speak5(at, await roll.enroll(id), connect)
    await device.ask(subscribe5(1, `devices/${id}/#`), 'suback')
    return async () => {
      for (let alias = 1; alias <= 16; alias += 1) {
        const topic = topicOf(id, alias + 10)
        const properties = { topicAlias: alias }
        device.say({ cmd: 'publish', topic, qos: 0, payload: 'x', retain: false, dup: false, properties })
      }
      await until(() => device.of('publish').length === 16)
      assert.ok(device.of('publish').every(({ properties }) => properties?.['topicAlias'] !== undefined))
      return device
    }
  }
  const warm = await (await fill('warm'))()
  const all = []
  for (let index = 0; index < DEVICES; index += 1) all.push(await fill(`alias${index}`))
  const start = await bytes()
  const devices = []
  for (const use of all) devices.push(await use())
  const grown = (await bytes()) - start
  t.diagnostic(`${grown / DEVICES} of ${boundOf('topic aliases')} bytes a device`)
  assert.ok(grown / DEVICES <= boundOf('topic aliases'))
  assert.ok(grown / DEVICES >= 16 * settings.topicBytesMax)
  for (const device of [warm, ...devices]) await device.cut()
})

/** So that whatever is copied meanwhile shares the pool of Node with what is kept. */
const beside = (id: string) => publishPacket(`devices/${id}/beside`, 'y'.repeat(15_000))

test('a small message that waits keeps nothing else in memory that came with it', async t => {
  await assertRow(t, ['messages beyond its window'], 100_000, async id => {
    const identity = await roll.enroll(id)
    const connect = { clientId: id, properties: { receiveMaximum: 1 } }
    const device = await speak5(at, identity, connect)
    await device.ask(subscribe5(1, `devices/${id}/x`), 'suback')
    const publisher = await rawSession(at, await roll.enroll(`${id}-p`, { groups: ['backend'] }), {
      clientId: `${id}-p`,
    })
    const packets = packetsOf(publisher)
    // The publisher stays meanwhile: what the broker keeps of it is not measured.
    const start = await bytes()
    for (let sent = 0; sent < 300; sent += 1)
      publisher.write(Buffer.concat([publishQos1(`devices/${id}/x`, 1 + sent, 'x'.repeat(100)), beside(id)]))
    await until(() => packets.length === 300)
    const end = await bytes()
    publisher.destroy()
    return { start, end, release: () => void device.cut() }
  })
})

test('small retained messages with properties keep their own bytes alone', async t => {
  const MESSAGES = 300
  const fill = async (id: string) => {
    const will = { topic: `devices/${id}/will`, payload: Buffer.from('gone'), qos: 0, retain: false } as const
    const device = await speak5(at, await roll.enroll(id), { clientId: id, will })
    const start = await bytes()
    for (let index = 0; index < MESSAGES; index += 1) {
      const more = { retain: true, properties: { userProperties: { name: 'v'.repeat(40) } } }
      device.say(publish5(`devices/${id}/${index}`, 1 + index, more))
      device.say(publish5(`devices/${id}/beside`, 0, { payload: 'y'.repeat(15_000) }))
    }
    await device.next('puback', MESSAGES)
    const grown = (await bytes()) - start
    await device.cut()
    return grown
  }
  await fill('warm-own')
  const grown = await fill('hostile-own')
  t.diagnostic(`${Math.round(grown / MESSAGES)} bytes a message`)
  assert.ok(grown <= MESSAGES * 1_400 + CONNECTION_BYTES, `${grown} bytes`)
})

test('of messages that wait for the disk a device has as many in hand as may be, and one more', () => {
  const inHandBytesMax = settings.packetBytesMax
  let held = 0
  const throttle = createThrottle({
    boundsOf: createDeviceBounds(settings),
    inHandBytesMax,
    onHeld() {},
    hold() {
      held += 1
    },
    release() {
      held -= 1
    },
  })
  const client = {
    phase: 'open',
    inHandBytes: 0,
    isHeldInHand: false,
    holds: 0,
    bucket: null,
  } as unknown as Client
  for (const packetBytes of [1, 1_000, inHandBytesMax - 1, inHandBytesMax]) {
    client.inHandBytes = 0
    throttle.written(client)
    for (let sent = 0; held === 0 && sent < 1_000_000; sent += 1) {
      client.inHandBytes += packetBytes
      throttle.handled(client, 0, packetBytes, true)
    }
    assert.equal(held, 1)
    assert.ok(client.inHandBytes <= boundOf('messages being handled'), `${client.inHandBytes} bytes`)
    client.inHandBytes = inHandBytesMax + 1
    throttle.written(client)
    assert.equal(held, 1, 'not before what is in hand is within the bound')
    client.inHandBytes = inHandBytesMax
    throttle.written(client)
    assert.equal(held, 0)
  }
})
