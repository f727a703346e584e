// The ID of a deleted device is free again: the next device of that name gets nothing of what the one before left with brokers, also where
// a broker did not run meanwhile; and what the next one leaves stays.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { createRegistryWriter } from '../../../db/index.ts'
import type { Identity } from '../../harness/authority.ts'
import { mqttClient, returningClient, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { openInbox } from '../../harness/inbox.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'

const YEARS_MS = 50 * 366 * 86_400_000

let roll: Roll
let backend: Identity
let t: TestBroker
beforeEach(async () => {
  roll = await createRoll()
  backend = await roll.enroll('b1', { groups: ['backend'] })
})
afterEach(async () => {
  await t.close()
  await roll.close()
})

/** Once its certificates have expired. */
async function replaced(): Promise<Identity> {
  const later = createRegistryWriter(roll.registry, () => Date.now() + YEARS_MS)
  await roll.writer.setDeviceState('d1', 'decommissioned', tester)
  await later.deleteDevice('d1', tester)
  return roll.enroll('d1')
}

/** Leaves a session with a subscription and a message that waits, and a retained message. */
async function leave(identity: Identity): Promise<void> {
  const device = await mqttClient(t, 'd1', identity, { clean: false })
  await device.subscribeAsync('devices/d1/commands', { qos: 1 })
  await device.publishAsync('devices/d1/state', 'retained', { qos: 1, retain: true })
  await device.endAsync()
  await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
  const commander = await mqttClient(t, 'b1', backend)
  await commander.publishAsync('devices/d1/commands', 'for the first', { qos: 1 })
  await commander.endAsync()
}

/** What is there for the device, and what of it a backend is shown. */
async function found(identity: Identity) {
  const watching = await mqttClient(t, 'b1', backend)
  const inbox = openInbox(watching)
  await watching.subscribeAsync('devices/d1/#', { qos: 1 })
  await watching.publishAsync('devices/b1/marker', 'marker', { qos: 1 })
  await watching.subscribeAsync('devices/b1/marker', { qos: 1 })
  await watching.publishAsync('devices/b1/marker', 'marker', { qos: 1 })
  await inbox.message('marker')
  await watching.endAsync()
  const device = await returningClient(t, 'd1', identity)
  await device.client.endAsync()
  const shown = inbox.all.map(({ payload }) => payload).filter(payload => payload !== 'marker')
  return { shown, sessionPresent: device.sessionPresent }
}
const nothing = { shown: [], sessionPresent: false }

test('deleted while no broker ran, a device leaves nothing to the next one of its name, which keeps its own', async () => {
  t = await startTestBroker({ roll })
  await leave(await roll.enroll('d1'))
  await t.close()
  const identity = await replaced()
  t = await startTestBroker({ roll })
  assert.deepEqual(await found(identity), nothing)
  await leave(identity)
  await t.close()
  t = await startTestBroker({ roll })
  assert.deepEqual(await found(identity), { shown: ['retained'], sessionPresent: true })
})

test('nor where a broker runs, and what the next one leaves is there after a restart', async () => {
  t = await startTestBroker({ roll })
  await leave(await roll.enroll('d1'))
  const identity = await replaced()
  const epoch = await roll.writer.kickSession('b1', { clear: false }, tester)
  await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch)
  assert.deepEqual(await found(identity), nothing)
  await leave(identity)
  await t.close()
  t = await startTestBroker({ roll })
  assert.deepEqual(await found(identity), { shown: ['retained'], sessionPresent: true })
})
