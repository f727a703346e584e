// A broker that is told to stop: it takes nothing new, what is half done is finished, and connections close in order.
import assert from 'node:assert/strict'
import { connect as connectTcp } from 'node:net'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { MqttClient } from 'mqtt'
import { mqttClient, openTls, returningClient, startTestBroker, type TestBroker } from '../harness/broker.ts'
import { openInbox } from '../harness/inbox.ts'
import {
  acknowledgement,
  ended,
  packetsOf,
  publishQos1,
  publishQos2,
  type RawPacket,
  rawSession,
  subscribePacket,
} from '../harness/raw-client.ts'
import { createRoll, tester } from '../harness/roll.ts'
import { until } from '../harness/until.ts'

const PUBLISH = 3
const PUBACK = 4
const PUBREC = 5
const PUBREL = 6
const PUBCOMP = 7
const SUBACK = 9
/** Longer than anything takes that need not wait for it, on a machine that is busy with others. */
const DRAIN_MS = 6_000

const has = (packets: RawPacket[], kind: number) => packets.some(packet => packet.kind === kind)
const idOf = (packet: RawPacket | undefined) => packet?.bytes.readUInt16BE(packet.bytes.length - 2) ?? 0

/** How the server ended it: `in order` with a FIN behind its last bytes, or `reset`. */
function ending(socket: TLSSocket): Promise<'in order' | 'reset'> {
  let how: 'in order' | 'reset' = 'reset'
  socket.once('end', () => {
    how = 'in order'
  })
  return ended(socket).then(() => how)
}

for (const gates of [0, 2])
  describe(`a broker with ${gates} gates that stops`, () => {
    let t: TestBroker
    const clients: MqttClient[] = []
    const sockets: TLSSocket[] = []
    beforeEach(async () => {
      t = await startTestBroker({ settings: { gates, drainMs: DRAIN_MS } })
    })
    afterEach(async () => {
      for (const socket of sockets.splice(0)) socket.destroy()
      await Promise.all(clients.splice(0).map(client => client.endAsync(true)))
      await t.close()
    })

    async function device(id: string, connect: { clean?: boolean } = {}): Promise<TLSSocket> {
      const socket = await rawSession(t, await t.roll.enroll(id), { clientId: id, ...connect })
      sockets.push(socket)
      return socket
    }

    test('finishes QoS 2 that a device has begun, takes no new message, and closes in order', async () => {
      const socket = await device('d1')
      const seen = packetsOf(socket)
      const how = ending(socket)
      socket.write(publishQos2('devices/d1/up', 7))
      await until(() => has(seen, PUBREC))
      const closed = t.broker.close()
      await t.line(line => line.msg === 'stopping')
      socket.write(publishQos1('devices/d1/up', 8, 'too late'))
      socket.write(acknowledgement(6, 7))
      await until(() => has(seen, PUBCOMP))
      await closed
      assert.equal(await how, 'in order')
      assert.equal(has(seen, PUBACK), false, 'what came after was not taken')
      assert.equal((await t.line(line => line.msg === 'drained'))['unfinished'], 0)
    })

    for (const clean of [true, false])
      test(`finishes what it has sent to a ${clean ? 'clean' : 'stored'} session at QoS 1 and 2`, async () => {
        const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
        clients.push(backend)
        const socket = await device('d1', { clean })
        const seen = packetsOf(socket)
        socket.write(subscribePacket(1, ['devices/d1/#'], 2))
        await until(() => has(seen, SUBACK))
        await backend.publishAsync('devices/d1/down', 'once', { qos: 1 })
        await backend.publishAsync('devices/d1/down', '', { qos: 2 })
        await until(() => seen.filter(({ kind }) => kind === PUBLISH).length === 2)
        const [once, exactly] = seen.filter(({ kind }) => kind === PUBLISH)
        const how = ending(socket)
        const closed = t.broker.close()
        await t.line(line => line.msg === 'stopping')
        socket.write(acknowledgement(5, idOf(exactly)))
        await until(() => has(seen, PUBREL))
        socket.write(acknowledgement(7, idOf(exactly)))
        socket.write(acknowledgement(4, once!.bytes.readUInt16BE(2 + 2 + 'devices/d1/down'.length)))
        await closed
        assert.equal(await how, 'in order')
      })

    test('waits for nobody longer than drainMs, and says how many were unfinished', async () => {
      const drainMs = 1_500
      await t.close()
      t = await startTestBroker({ settings: { gates, drainMs } })
      const socket = await device('d1')
      const seen = packetsOf(socket)
      socket.write(publishQos2('devices/d1/up', 7))
      await until(() => has(seen, PUBREC))
      const began = performance.now()
      await t.broker.close()
      const tookMs = performance.now() - began
      // A wait for the device never ends.
      assert.ok(tookMs >= drainMs && tookMs < drainMs + 20_000, `${tookMs} ms`)
      assert.equal((await t.line(line => line.msg === 'drained'))['unfinished'], 1)
    })

    test('listens no more at once, and ends connections without CONNECT', async () => {
      const busy = await device('d1')
      const seen = packetsOf(busy)
      busy.write(publishQos2('devices/d1/up', 7))
      await until(() => has(seen, PUBREC))
      const silent = await openTls(t, { identity: await t.roll.enroll('d2') })
      sockets.push(silent)
      const silentEnded = ended(silent)
      const began = performance.now()
      const closed = t.broker.close()
      await silentEnded
      await until(() => refusesToConnect(t.broker.port))
      assert.equal(t.broker.ready(), false)
      busy.write(acknowledgement(6, 7))
      await closed
      assert.ok(performance.now() - began < DRAIN_MS, 'nobody had to wait for the deadline')
    })

    test('still cuts a revoked device at once', async () => {
      const identity = await t.roll.enroll('d1')
      const socket = await rawSession(t, identity, { clientId: 'd1' })
      const seen = packetsOf(socket)
      socket.write(publishQos2('devices/d1/up', 7))
      await until(() => has(seen, PUBREC))
      const began = performance.now()
      const closed = t.broker.close()
      await t.line(line => line.msg === 'stopping')
      await t.roll.writer.revokeCertificate(identity.fingerprint, 'keyCompromise', tester)
      await ended(socket)
      assert.ok(performance.now() - began < DRAIN_MS, 'not only at the deadline')
      await closed
    })

    test('under load by a standard client: what was acknowledged arrived, and it saw no error', async () => {
      const b1 = await t.roll.enroll('b1', { groups: ['backend'] })
      const away = await t.roll.enroll('b2', { groups: ['backend'] })
      const leaver = await mqttClient(t, 'b2', away, { clean: false })
      await leaver.subscribeAsync('devices/d1/up', { qos: 2 })
      await leaver.endAsync()
      const backend = await mqttClient(t, 'b1', b1)
      const inbox = openInbox(backend)
      await backend.subscribeAsync('devices/d1/up', { qos: 2 })
      const publisher = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
      clients.push(backend, publisher)
      const errors: Error[] = []
      for (const client of clients) client.on('error', error => errors.push(error))
      const acknowledged: string[] = []
      let sent = 0
      const publish = (qos: 1 | 2) => {
        if (!publisher.connected) return
        sent += 1
        const payload = `${qos}-${sent}`
        publisher.publish('devices/d1/up', payload, { qos }, error => {
          if (error) return
          acknowledged.push(payload)
          publish(qos)
        })
      }
      for (let window = 0; window < 20; window += 1) publish(window % 2 === 0 ? 1 : 2)
      await until(() => acknowledged.length > 500, 60_000)
      await t.broker.close()
      const live = new Set(inbox.all.map(({ payload }) => payload))
      assert.deepEqual(
        acknowledged.filter(payload => !live.has(payload)),
        [],
      )
      assert.equal((await t.line(line => line.msg === 'drained'))['unfinished'], 0)
      assert.deepEqual(errors, [])
      const again = await startTestBroker({ roll: t.roll, settings: { gates } })
      const { client, inbox: kept } = await returningClient(again, 'b2', away)
      const missing = () => {
        const stored = new Set(kept.all.map(({ payload }) => payload))
        return acknowledged.slice(-900).filter(payload => !stored.has(payload))
      }
      // What was not acknowledged is kept as well: how many came says nothing of which.
      await until(() => missing().length === 0, 60_000).catch(() => assert.deepEqual(missing(), []))
      await client.endAsync()
      await again.close()
    })
  })

test('a will is sent once by a broker that stops, also to devices that it waits for', async () => {
  const roll = await createRoll()
  const t = await startTestBroker({ roll })
  const away = await roll.enroll('b2', { groups: ['backend'] })
  const leaver = await mqttClient(t, 'b2', away, { clean: false })
  await leaver.subscribeAsync('devices/+/will', { qos: 1 })
  await leaver.endAsync()
  const will = { topic: 'devices/d1/will', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
  const client = await mqttClient(t, 'd1', await roll.enroll('d1'), { will })
  await t.close()
  await client.endAsync(true)
  const again = await startTestBroker({ roll })
  const { client: back, inbox } = await returningClient(again, 'b2', away)
  await inbox.message('gone')
  await back.publishAsync('devices/b2/will', 'after', { qos: 1 })
  await inbox.message('after')
  assert.equal(inbox.all.filter(({ payload }) => payload === 'gone').length, 1)
  await back.endAsync()
  await again.close()
  await roll.close()
})

function refusesToConnect(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connectTcp({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', () => resolve(true))
  })
}
