// Sessions: taken over within one device, kept across connections, and ended with the right they stand on.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../../../harness/authority.ts'
import {
  attempt,
  connectPacket,
  firstBytes,
  mqttClient,
  openTls,
  returningClient,
  startTestBroker,
  type TestBroker,
} from '../../../harness/broker.ts'
import { gone } from '../../../harness/inbox.ts'
import { tester } from '../../../harness/roll.ts'

describe('a session', () => {
  let t: TestBroker
  let backend: MqttClient
  let now = 0

  beforeEach(async () => {
    now = Date.now()
    t = await startTestBroker({ settings: { offlineMessagesMax: 5, packetBytesMax: 1_024 }, now: () => now })
    backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
  })
  afterEach(async () => {
    await backend.endAsync(true)
    await t.close()
  })

  /** Leaves a persistent session behind that waits for messages. */
  async function leaveWaiting(id: string, identity: Identity): Promise<void> {
    const device = await mqttClient(t, id, identity, { clean: false })
    await device.subscribeAsync(`devices/${id}/commands`, { qos: 1 })
    await device.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === id)
  }

  function send(id: string, payload: string) {
    return backend.publishAsync(`devices/${id}/commands`, payload, { qos: 1 })
  }

  /** Comes back, and gives what had waited: all that arrives before a marker sent then. */
  async function comeBack(id: string, identity: Identity) {
    const { client, inbox, sessionPresent } = await returningClient(t, id, identity)
    await client.subscribeAsync(`devices/${id}/marker`, { qos: 1 })
    await client.publishAsync(`devices/${id}/marker`, 'marker', { qos: 1 })
    await inbox.message('marker')
    await client.endAsync()
    const waited = inbox.all.map(received => received.payload).filter(payload => payload !== 'marker')
    return { waited, sessionPresent }
  }

  /** Resolves once the broker has acted on a change. */
  async function acted(epoch: Promise<number>): Promise<void> {
    const awaited = await epoch
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === awaited)
  }

  test('is taken over by the same device, and by nobody else', async () => {
    const identity = await t.roll.enroll('d1')
    const other = await t.roll.enroll('d2')
    const first = await mqttClient(t, 'd1', identity)
    assert.equal(await attempt(t, { identity: other, connect: { clientId: 'd1' } }), 'connack 2')
    assert.equal(first.connected, true)
    const second = await mqttClient(t, 'd1', identity)
    await gone(first)
    await t.line(line => line.msg === 'taken over by a newer connection' && line.deviceId === 'd1')
    await second.publishAsync('devices/d1/x', 'still here', { qos: 1 })
    await second.endAsync()
  })

  test('with an empty client ID is the device all the same', async () => {
    const identity = await t.roll.enroll('d1')
    const first = await mqttClient(t, 'd1', identity)
    assert.equal(await attempt(t, { identity, connect: { clientId: '' } }), 'connack 0')
    await gone(first)
  })

  test('that persists gets what was sent while it was away, the newest where its queue was full', async () => {
    const identity = await t.roll.enroll('d1')
    await leaveWaiting('d1', identity)
    for (const payload of ['1', '2', '3', '4', '5', '6', '7']) await send('d1', payload)
    await t.line(line => line['queue'] === 'offline' && line.deviceId === 'd1')
    assert.deepEqual(await comeBack('d1', identity), {
      waited: ['3', '4', '5', '6', '7'],
      sessionPresent: true,
    })
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    await send('d1', '8')
    assert.deepEqual((await comeBack('d1', identity)).waited, ['8'], 'what was delivered makes room')
  })

  test('gets what was retained while it was away as any other message [MQTT-3.3.1-9]', async () => {
    const identity = await t.roll.enroll('d1')
    await leaveWaiting('d1', identity)
    await backend.publishAsync('devices/d1/commands', 'state', { qos: 1, retain: true })
    const { client, inbox } = await returningClient(t, 'd1', identity)
    assert.equal((await inbox.message('state')).retain, false)
    await client.endAsync()
  })

  test('that was clean leaves nothing behind', async () => {
    const identity = await t.roll.enroll('d1')
    await leaveWaiting('d1', identity)
    await send('d1', 'lost')
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1', clean: true } }), 'connack 0')
    assert.deepEqual(await comeBack('d1', identity), { waited: [], sessionPresent: false })
  })

  test('is kept with its queue while the device is suspended', async () => {
    const identity = await t.roll.enroll('d1')
    await leaveWaiting('d1', identity)
    await send('d1', 'before')
    await acted(t.roll.writer.setDeviceState('d1', 'suspended', tester))
    await send('d1', 'while suspended')
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1', clean: false } }), 'connack 5')
    await acted(t.roll.writer.setDeviceState('d1', 'active', tester))
    assert.deepEqual((await comeBack('d1', identity)).waited, ['before', 'while suspended'])
  })

  test('is kept by a revocation where another certificate of the device still admits', async () => {
    const old = await t.roll.enroll('d1')
    const fresh = await t.roll.issuing.issue({ name: 'd1' })
    await t.roll.list('d1', fresh)
    await leaveWaiting('d1', old)
    await send('d1', 'kept')
    await acted(t.roll.writer.revokeCertificate(old.fingerprint, 'superseded', tester))
    assert.deepEqual(await comeBack('d1', fresh), { waited: ['kept'], sessionPresent: true })
  })

  test('is forgotten with its queue when the last certificate of the device is revoked', async () => {
    const identity = await t.roll.enroll('d1')
    await leaveWaiting('d1', identity)
    await send('d1', 'never to be seen')
    await acted(t.roll.writer.revokeCertificate(identity.fingerprint, 'keyCompromise', tester))
    const fresh = await t.roll.issuing.issue({ name: 'd1' })
    await t.roll.list('d1', fresh)
    assert.deepEqual(await comeBack('d1', fresh), { waited: [], sessionPresent: false })
  })

  test('is forgotten with its queue when the device is decommissioned, connected or not', async () => {
    const identity = await t.roll.enroll('d1')
    await leaveWaiting('d1', identity)
    await send('d1', 'never to be seen')
    const device = await mqttClient(t, 'd1', identity, { clean: false })
    await device.subscribeAsync('devices/d1/other', { qos: 1 })
    await acted(t.roll.writer.setDeviceState('d1', 'decommissioned', tester))
    await gone(device)
    // No verb brings a device back: done by hand to see what is left.
    t.roll.registry.sqlite.exec("UPDATE devices SET state = 'active' WHERE id = 'd1'")
    assert.deepEqual(await comeBack('d1', identity), { waited: [], sessionPresent: false })
  })

  test('is cut in the second its certificate ends', async () => {
    const notAfter = new Date(Math.ceil(now / 1_000) * 1_000 + 60_000)
    const identity = await t.roll.enroll('d1', { notAfter })
    const device = await mqttClient(t, 'd1', identity)
    // RFC 5280 §4.1.2.5: through notAfter, inclusive.
    now = notAfter.getTime()
    await device.publishAsync('devices/d1/x', 'at its end', { qos: 1 })
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1', keepalive: 0 } }), 'connack 0')
    const again = await mqttClient(t, 'd1', identity)
    now = notAfter.getTime() + 1
    await gone(again)
    const cut = await t.line(line => line.msg === 'cut' && line.deviceId === 'd1')
    assert.equal(cut.reason, 'certificate_expired')
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 5')
  })

  test('of a superseded certificate is cut when its grace ends', async () => {
    const identity = await t.roll.enroll('d1')
    const sql = "UPDATE certificates SET status = 'superseded', grace_until = ? WHERE fingerprint = ?"
    t.roll.registry.sqlite.prepare(sql).run(now + 60_000, identity.fingerprint)
    const device = await mqttClient(t, 'd1', identity)
    now += 60_000
    await gone(device)
    await t.line(line => line.msg === 'cut' && line.reason === 'certificate_superseded')
  })

  test('is cut when its issuer is disabled, and only under that issuer', async () => {
    const other = await t.roll.root.subordinate('Other Issuing CA')
    const issuer = { der: other.der, name: 'other', kind: 'issuing', parentId: t.roll.rootId } as const
    const issuerId = await t.roll.writer.addIssuer(issuer, tester)
    const identity = await other.issue({ name: 'd1' })
    await t.roll.list('d1', identity, { issuerId })
    await t.line(line => line['issuers'] === 3)
    const device = await mqttClient(t, 'd1', identity)
    await acted(t.roll.writer.setIssuerEnabled(issuerId, false, tester))
    await gone(device)
    assert.equal(backend.connected, true)
    await acted(t.roll.writer.setIssuerEnabled(issuerId, true, tester))
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 0')
  })

  test('loses the subscriptions that a new policy takes away, within a second', async () => {
    const identity = await t.roll.enroll('d1', { groups: ['backend'] })
    const { client, inbox } = await returningClient(t, 'd1', identity)
    await client.subscribeAsync(['devices/#', 'devices/d1/commands'], { qos: 1 })
    await send('d2', 'as a backend')
    await inbox.message('as a backend')
    const begin = performance.now()
    await t.roll.writer.changeDevice('d1', { groups: [] }, tester)
    await t.line(line => line.msg === 'denied' && line.deviceId === 'd1' && line['topic'] === 'devices/#')
    assert.ok(performance.now() - begin < 5_000, 'a second, and a few on a machine that is busy with others')
    await send('d2', 'no longer')
    await send('d1', 'still mine')
    await inbox.message('still mine')
    await client.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    await send('d2', 'not while away either')
    assert.deepEqual((await comeBack('d1', identity)).waited, [])
    assert.equal(
      inbox.all.some(received => received.payload === 'no longer'),
      false,
    )
  })

  test('threat 9: an offline subscription dies with its right', async () => {
    const identity = await t.roll.enroll('d1', { groups: ['backend'] })
    const { client } = await returningClient(t, 'd1', identity)
    await client.subscribeAsync('devices/#', { qos: 1 })
    await client.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    await send('d2', 'queued before')
    await t.roll.writer.changeDevice('d1', { groups: [] }, tester)
    await send('d2', 'queued after')
    assert.deepEqual((await comeBack('d1', identity)).waited, [])
  })

  test('ends in order at DISCONNECT: the peer is told, and nobody is reset or kept waiting', async () => {
    const identity = await t.roll.enroll('d1')
    const socket = await openTls(t, { identity })
    const errors: Error[] = []
    socket.on('error', error => errors.push(error))
    socket.write(connectPacket({ clientId: 'd1' }))
    await firstBytes(socket)
    const ended = once(socket, 'end')
    socket.write(Buffer.from([0xe0, 0x00]))
    await ended
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    assert.deepEqual(errors, [])
  })

  test('that sends CONNECT twice is closed', async () => {
    const identity = await t.roll.enroll('d1')
    const device = await mqttClient(t, 'd1', identity)
    device.stream.write(Buffer.from('100e00044d5154540402003c00026431', 'hex'))
    await gone(device)
  })
})
