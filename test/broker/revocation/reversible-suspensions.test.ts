// What can be undone loses nothing: session, queue and retained messages of a device that is kept out for a while are there when
// it is let in again. Only what can never admit again takes them.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import { createIsGone } from '../../../broker/revocation/retention.ts'
import { prepareDeviceLookup } from '../../../db/admission-lookup.ts'
import { createDeadlineWriter } from '../../../db/roll/deadlines.ts'
import { certificateTransitions } from '../../../db/roll/transitions.ts'
import type { CertificateStatus, DeviceState } from '../../../db/schema.ts'
import { type Identity, selfSigned } from '../../harness/authority.ts'
import {
  attempt,
  mqttClient,
  returningClient,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { type ForkedBroker, forkBroker } from '../../harness/fork.ts'
import { openInbox } from '../../harness/inbox.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

type Enrolled = Identity & { fingerprint: string }
type Outage = {
  begin(roll: Roll, device: Enrolled): Promise<number>
  end(roll: Roll, device: Enrolled): Promise<number>
  reason: string
}

const outages: Record<string, Outage> = {
  'a suspended certificate': {
    reason: 'certificate_suspended',
    begin: (roll, { fingerprint }) => roll.writer.suspendCertificate(fingerprint, tester),
    end: (roll, { fingerprint }) => roll.writer.activateCertificate(fingerprint, tester),
  },
  'a suspended device': {
    reason: 'device_suspended',
    begin: roll => roll.writer.setDeviceState('d1', 'suspended', tester),
    end: roll => roll.writer.setDeviceState('d1', 'active', tester),
  },
  'a disabled issuer': {
    reason: 'issuer_disabled',
    begin: roll => roll.writer.setIssuerEnabled(roll.issuerId, false, tester),
    end: roll => roll.writer.setIssuerEnabled(roll.issuerId, true, tester),
  },
  'a disabled CA above the issuer': {
    reason: 'issuer_disabled',
    begin: roll => roll.writer.setIssuerEnabled(roll.rootId, false, tester),
    end: roll => roll.writer.setIssuerEnabled(roll.rootId, true, tester),
  },
}

/** Older certificates of the device are retired meanwhile, as time does it. */
async function retireOlder(roll: Roll): Promise<number> {
  const epoch = () => roll.registry.sqlite.prepare('SELECT max(epoch) FROM changes').pluck().get() as number
  const before = epoch()
  await createDeadlineWriter(roll.registry, () => Date.now() + 2 * 86_400_000).passDeadlines(100)
  assert.ok(epoch() > before, 'something was retired')
  return epoch()
}

describe('what can be undone loses nothing', () => {
  let t: TestBroker
  let backend: MqttClient
  beforeEach(async () => {
    t = await startTestBroker()
    // Its own issuer is none that an outage concerns.
    backend = await mqttClient(t, 'b1', await pinnedBackend(t.roll))
  })
  afterEach(async () => {
    await backend.endAsync(true)
    await t.close()
  })

  async function acted(epoch: number): Promise<void> {
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch)
  }

  for (const [name, outage] of Object.entries(outages)) {
    for (const where of ['away', 'inside'] as const) {
      for (const retires of [false, true]) {
        test(`${name} while the device is ${where}${retires ? ', and an older certificate retired in between' : ''}`, async () => {
          const older = await t.roll.enroll('d1')
          assert.equal(await attempt(t, { identity: older, connect: { clientId: 'd1' } }), 'connack 0')
          const newer = await t.roll.issuing.issue({ name: 'd1' })
          const identity = { ...newer, fingerprint: await t.roll.list('d1', newer) }
          const device = await mqttClient(t, 'd1', identity, { clean: false })
          device.on('error', () => {})
          await device.subscribeAsync('devices/d1/commands', { qos: 1 })
          await device.publishAsync('devices/d1/state', 'retained', { qos: 1, retain: true })
          const superseded = () =>
            t.roll.registry.sqlite.prepare("SELECT 1 FROM certificates WHERE status = 'superseded'").get()
          await until(() => superseded() !== undefined)
          if (where === 'away') await device.endAsync()
          else await backend.publishAsync('devices/d1/commands', 'before', { qos: 1 })
          await acted(await outage.begin(t.roll, identity))
          await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
          if (retires) await acted(await retireOlder(t.roll))
          await backend.publishAsync('devices/d1/commands', 'queued', { qos: 1 })
          const seen = openInbox(backend)
          await backend.subscribeAsync('devices/d1/state', { qos: 1 })
          await seen.message('retained')
          await acted(await outage.end(t.roll, identity))
          const { client, inbox, sessionPresent } = await returningClient(t, 'd1', identity)
          assert.equal(sessionPresent, true)
          await inbox.message('queued')
          await client.endAsync()
        })
      }
    }
  }
})

test('after a restart during the outage everything is there, too', async () => {
  const roll = await createRoll()
  let broker: ForkedBroker = await forkBroker(roll)
  const listening = () => ({ broker: { port: broker.port }, roll })
  try {
    const identity = await roll.enroll('d1')
    const device = await mqttClient(listening(), 'd1', identity, { clean: false })
    await device.subscribeAsync('devices/d1/commands', { qos: 1 })
    await device.publishAsync('devices/d1/state', 'retained', { qos: 1, retain: true })
    await device.endAsync()
    const gone = await mqttClient(listening(), 'd2', await roll.enroll('d2'), { clean: false })
    await gone.publishAsync('devices/d2/state', 'of the gone', { qos: 1, retain: true })
    await gone.endAsync()
    await broker.close()
    await roll.writer.setIssuerEnabled(roll.issuerId, false, tester)
    await roll.writer.setDeviceState('d2', 'decommissioned', tester)
    broker = await forkBroker(roll)
    const backend = await mqttClient(listening(), 'b1', await pinnedBackend(roll))
    // What is judged at the start is judged by now: the one that is gone has left nothing.
    await until(async () => /^rollcall_queued_messages 0$/m.test((await broker.measure()).metrics))
    await backend.publishAsync('devices/d1/commands', 'queued', { qos: 1 })
    const seen = openInbox(backend)
    await backend.subscribeAsync('devices/+/state', { qos: 1 })
    await seen.message('retained')
    assert.deepEqual(
      seen.all.map(({ payload }) => payload),
      ['retained'],
    )
    await roll.writer.setIssuerEnabled(roll.issuerId, true, tester)
    const back = await mqttClient(listening(), 'd1', identity, { clean: false })
    const inbox = openInbox(back)
    await inbox.message('queued')
    await back.endAsync()
    await backend.endAsync()
  } finally {
    await broker.close()
    await roll.close()
  }
})

test('every status × state × issuer: gone is only what no move of the tables ever lets in again', async () => {
  const roll = await createRoll()
  try {
    const statuses: CertificateStatus[] = [
      'pending',
      'issued',
      'active',
      'superseded',
      'suspended',
      'rejected',
      'retired',
      'lapsed',
      'revoked',
    ]
    const over: CertificateStatus[] = ['rejected', 'retired', 'lapsed', 'revoked']
    for (const { to } of Object.values(certificateTransitions))
      assert.ok(to === null || statuses.includes(to), `${to} is in the table`)
    const states: DeviceState[] = ['registered', 'active', 'suspended', 'decommissioned']
    const one = await roll.enroll('d1')
    const second = await roll.issuing.issue({ name: 'd1' })
    const other = await roll.list('d1', second)
    const { sqlite } = roll.registry
    const isGone = createIsGone(prepareDeviceLookup(sqlite))
    const update = sqlite.prepare(
      `UPDATE certificates SET status = @status, revocation_reason = iif(@status = 'revoked', 'unspecified', NULL),
         revoked_at = iif(@status = 'revoked', 1, NULL) WHERE fingerprint = @fingerprint`,
    )
    const setStatus = (status: CertificateStatus, fingerprint: string) => update.run({ status, fingerprint })
    let judged = 0
    for (const enabled of [1, 0])
      for (const state of states)
        for (const first of statuses)
          for (const last of statuses) {
            sqlite.prepare('UPDATE issuers SET enabled = ?').run(enabled)
            sqlite.prepare("UPDATE devices SET state = ? WHERE id = 'd1'").run(state)
            setStatus(first, one.fingerprint)
            setStatus(last, other)
            const expected = state === 'decommissioned' || (over.includes(first) && over.includes(last))
            assert.equal(isGone('d1'), expected, `${state}, ${first} and ${last}, issuer ${enabled}`)
            judged += 1
          }
    assert.equal(judged, 2 * 4 * 9 * 9)
    assert.equal(isGone('nobody'), true)
  } finally {
    await roll.close()
  }
})

/** A backend whose certificate no issuer of the roll vouches for. */
async function pinnedBackend(roll: Roll): Promise<Identity> {
  const identity = await selfSigned({ name: 'b1' })
  await roll.writer.addDevice({ id: 'b1', attributes: {}, groups: ['backend'] }, tester)
  await roll.list('b1', identity, { trust: 'pinned', issuerId: null })
  return identity
}
