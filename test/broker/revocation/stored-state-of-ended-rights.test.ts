// What a device left behind when its right ended while it was away or inside: its queue, its retained messages, its will.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../../harness/authority.ts'
import {
  attempt,
  connectPacket,
  mqttClient,
  openTls,
  returningClient,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { gone, openInbox } from '../../harness/inbox.ts'
import { ended, packetsOf } from '../../harness/raw-client.ts'
import { tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

type Ending = (id: string, fingerprint: string) => Promise<number>

describe('what a device left behind', () => {
  let t: TestBroker
  let backend: MqttClient

  beforeEach(async () => {
    t = await startTestBroker()
    backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
  })
  afterEach(async () => {
    await backend.endAsync(true)
    await t.close()
  })

  const endings: Record<'revoked' | 'decommissioned' | 'suspended', Ending> = {
    revoked: (_, fingerprint) => t.roll.writer.revokeCertificate(fingerprint, 'keyCompromise', tester),
    decommissioned: id => t.roll.writer.setDeviceState(id, 'decommissioned', tester),
    suspended: id => t.roll.writer.setDeviceState(id, 'suspended', tester),
  }

  async function acted(epoch: Promise<number>): Promise<void> {
    const awaited = await epoch
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === awaited)
  }

  /** A persistent session with a subscription, a retained message, a retained will, and a queued message once it is away. */
  async function leave(id: string, identity: Identity, andThen: (device: MqttClient) => Promise<void>) {
    const device = await mqttClient(t, id, identity, {
      clean: false,
      will: { topic: `devices/${id}/will`, payload: Buffer.from('will'), qos: 1, retain: true },
    })
    await device.subscribeAsync(`devices/${id}/commands`, { qos: 1 })
    await device.publishAsync(`devices/${id}/state`, 'retained', { qos: 1, retain: true })
    await backend.publishAsync(`devices/${id}/other`, 'of the backend', { qos: 1, retain: true })
    await andThen(device)
    await t.line(line => line.msg === 'disconnected' && line.deviceId === id)
  }

  /** What a fresh subscriber is shown of a device: all that comes before a marker. */
  async function shown(id: string): Promise<string[]> {
    const seen = openInbox(backend)
    await backend.subscribeAsync([`devices/${id}/#`], { qos: 1 })
    await backend.publishAsync(`devices/${id}/marker`, 'marker', { qos: 1 })
    await seen.message('marker')
    await backend.unsubscribeAsync(`devices/${id}/#`)
    return seen.all.map(({ topic }) => topic.split('/')[2]!).filter(part => part !== 'marker')
  }

  /** What waits for the device when it connects again with this certificate. */
  async function waited(id: string, identity: Identity) {
    const { client, inbox, sessionPresent } = await returningClient(t, id, identity)
    await client.publishAsync(`devices/${id}/x`, 'x', { qos: 1 })
    await client.subscribeAsync(`devices/${id}/marker`, { qos: 1 })
    await client.publishAsync(`devices/${id}/marker`, 'marker', { qos: 1 })
    await inbox.message('marker')
    await client.endAsync()
    return { sessionPresent, payloads: inbox.all.map(({ payload }) => payload) }
  }

  for (const how of ['revoked', 'decommissioned'] as const) {
    for (const where of ['away', 'inside'] as const) {
      test(`is gone with the right of one ${how} while ${where}: queue, retained message and will`, async () => {
        const identity = await t.roll.enroll('d1')
        await leave('d1', identity, async device => {
          if (where === 'away') await device.endAsync()
          else {
            await acted(endings[how]('d1', identity.fingerprint))
            await gone(device)
          }
        })
        await backend.publishAsync('devices/d1/commands', 'queued', { qos: 1 })
        if (where === 'away') await acted(endings[how]('d1', identity.fingerprint))
        assert.deepEqual(await shown('d1'), ['other'], 'only what another published')
        assert.equal(await attempt(t, { identity, connect: { clientId: 'd1', clean: false } }), 'connack 5')
        // No verb brings a device back: done by hand to see what is left.
        t.roll.registry.sqlite.exec("UPDATE devices SET state = 'active' WHERE id = 'd1'")
        const fresh = await t.roll.issuing.issue({ name: 'd1' })
        await t.roll.list('d1', fresh)
        assert.deepEqual(await waited('d1', fresh), { sessionPresent: false, payloads: ['marker'] })
      })
    }
  }

  test('is kept for one that is suspended: its queue and its retained message, but for the will', async () => {
    const identity = await t.roll.enroll('d1')
    await leave('d1', identity, async device => {
      await acted(endings.suspended('d1', identity.fingerprint))
      await gone(device)
    })
    await backend.publishAsync('devices/d1/commands', 'queued', { qos: 1 })
    assert.deepEqual((await shown('d1')).sort(), ['other', 'state'])
    await acted(t.roll.writer.setDeviceState('d1', 'active', tester))
    assert.deepEqual(await waited('d1', identity), { sessionPresent: true, payloads: ['queued', 'marker'] })
  })

  test('the will of the cut is not stored either: nobody sends it when the next connection of the device drops', async () => {
    const identity = await t.roll.enroll('d1')
    await leave('d1', identity, async device => {
      await acted(endings.suspended('d1', identity.fingerprint))
      await gone(device)
    })
    await acted(t.roll.writer.setDeviceState('d1', 'active', tester))
    const seen = openInbox(backend)
    await backend.subscribeAsync('devices/d1/will', { qos: 1 })
    const socket = await openTls(t, { identity })
    const packets = packetsOf(socket)
    socket.write(connectPacket({ clientId: 'd1', clean: false, keepalive: 0 }))
    await until(() => packets.length > 0)
    socket.destroy()
    await ended(socket)
    await until(() => t.broker.sessions() === 1)
    await backend.publishAsync('devices/d1/will', 'marker', { qos: 1 })
    await seen.message('marker')
    assert.deepEqual(
      seen.all.map(({ payload }) => payload),
      ['marker'],
    )
  })
})
