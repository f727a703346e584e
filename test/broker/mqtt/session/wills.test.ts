// The last word of a device: sent when it drops out, never when its right was taken.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../../../harness/authority.ts'
import {
  connectPacket,
  mqttClient,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../../../harness/broker.ts'
import { gone, type Inbox, openInbox } from '../../../harness/inbox.ts'
import { tester } from '../../../harness/roll.ts'

describe('a will', () => {
  let t: TestBroker
  let backend: MqttClient
  let inbox: Inbox

  before(async () => {
    t = await startTestBroker()
    backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
    inbox = openInbox(backend)
    await backend.subscribeAsync('devices/#', { qos: 1 })
  })
  after(async () => {
    await backend.endAsync()
    await t.close()
  })

  async function enroll(id: string) {
    return t.roll.enroll(id)
  }

  function withWill(id: string, identity: Identity, payload: string, clean = true): Promise<MqttClient> {
    return mqttClient(t, id, identity, {
      clean,
      will: { topic: `devices/${id}/will`, payload: Buffer.from(payload), qos: 1, retain: false },
    })
  }

  async function assertSilent(payload: string) {
    await backend.publishAsync('devices/marker', `after ${payload}`, { qos: 1 })
    await inbox.message(`after ${payload}`)
    assert.equal(
      inbox.all.some(message => message.payload === payload),
      false,
    )
  }

  test('is sent when the connection drops', async () => {
    const device = await withWill('d1', await enroll('d1'), 'dropped')
    device.stream.destroy()
    assert.equal((await inbox.message('dropped')).topic, 'devices/d1/will')
  })

  test('is sent when the client stays silent beyond its keep-alive', async () => {
    const socket = await openTls(t, { identity: await enroll('d2') })
    const will = { topic: 'devices/d2/will', payload: 'silent', qos: 1 }
    socket.write(connectPacket({ clientId: 'd2', keepalive: 1, will }))
    await inbox.message('silent')
    await t.line(line => line.msg === 'cut' && line.reason === 'keepalive_timeout')
    socket.destroy()
  })

  test('is not sent after DISCONNECT', async () => {
    const device = await withWill('d3', await enroll('d3'), 'in order')
    await device.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd3')
    await assertSilent('in order')
  })

  for (const clean of [true, false]) {
    test(`is silenced by a revocation, ${clean ? 'clean' : 'persistent'} session`, async () => {
      const id = `d4-${clean}`
      const identity = await enroll(id)
      const device = await withWill(id, identity, `revoked ${clean}`, clean)
      await t.roll.writer.revokeCertificate(identity.fingerprint, 'keyCompromise', tester)
      await gone(device)
      await t.line(line => line.msg === 'disconnected' && line.deviceId === id)
      await assertSilent(`revoked ${clean}`)
    })
  }

  for (const state of ['suspended', 'decommissioned'] as const) {
    test(`is silenced when the device is ${state}`, async () => {
      const device = await withWill(state, await enroll(state), state)
      await t.roll.writer.setDeviceState(state, state, tester)
      await gone(device)
      await t.line(line => line.msg === 'disconnected' && line.deviceId === state)
      await assertSilent(state)
    })
  }

  test('threat 8: that is denied at CONNECT lets nobody in', async () => {
    const identity = await enroll('d5')
    const asking = (topic: string) =>
      mqttClient(t, 'd5', identity, { will: { topic, payload: Buffer.from('x'), qos: 0, retain: false } })
    await assert.rejects(asking('devices/b1/will'), { code: 5 })
    await assert.rejects(asking('$SYS/x'), { code: 5 })
    await t.line(line => line.msg === 'refused' && line.reason === 'will_denied')
  })

  test('threat 8: is judged again when it is sent', async () => {
    const identity = await enroll('d6')
    const device = await withWill('d6', identity, 'no longer allowed')
    const deny = { effect: 'deny', actions: ['will'], topics: ['devices/d6/#'] }
    await t.roll.writer.putPolicy('quiet', { name: 'quiet', statements: [deny] }, tester)
    const epoch = await t.roll.writer.attachPolicy('quiet', 'device', 'd6', tester)
    await t.line(line => line['epoch'] === epoch)
    device.stream.destroy()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd6')
    await assertSilent('no longer allowed')
  })
})
