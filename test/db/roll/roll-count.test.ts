// The count that the registry keeps is the count of what is there, whatever came, moved or went.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fillRoll } from '../../../bench/large-roll.ts'
import { prepareRollCount } from '../../../db/roll/roll-count.ts'
import { createRoll, tester } from '../../harness/roll.ts'

test('what is kept is what counting finds, after every kind of change', async () => {
  const roll = await createRoll()
  const { sqlite } = roll.registry
  const count = prepareRollCount(sqlite)
  const found = (counts: Record<string, number>) =>
    Object.entries(counts)
      .filter(([, count]) => count > 0)
      .sort()
  function assertKept(): void {
    const { devices, certificates } = count()
    const byState = sqlite.prepare('SELECT state, count(*) FROM devices GROUP BY state').raw().all()
    const byStatus = sqlite.prepare('SELECT status, count(*) FROM certificates GROUP BY status').raw().all()
    assert.deepEqual([found(devices), found(certificates)], [byState, byStatus])
  }
  assertKept()
  await fillRoll(roll.registry, roll.issuerId, 200)
  assertKept()
  assert.equal(count().devices.active, 199)
  await roll.writer.setDeviceState('fleet-0000001', 'suspended', tester)
  await roll.writer.setDeviceState('fleet-0000002', 'decommissioned', tester)
  const { fingerprint } = await roll.enroll('one')
  assertKept()
  await roll.writer.revokeCertificate(fingerprint, 'keyCompromise', tester)
  assertKept()
  for (const table of ['deadlines', 'public_keys', 'certificates', 'device_groups', 'devices'])
    sqlite.exec(`DELETE FROM ${table}`)
  assertKept()
  assert.ok(Object.values(count().devices).every(devices => devices === 0))
  await roll.close()
})
