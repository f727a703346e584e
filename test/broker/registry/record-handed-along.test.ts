// A record that the gate read and handed along never outlives a right: each change that ends one is seen by the engine's question.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideAdmission } from '../../../admission/decide.ts'
import { createRegistryView } from '../../../broker/registry/registry-view.ts'
import { type AdmissionRecord, prepareAdmissionLookup } from '../../../db/admission-lookup.ts'
import { prepareChangeReader } from '../../../db/change-feed.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'

/** Registry and record, as a broker has them. */
async function between(work: (t: Awaited<ReturnType<typeof parts>>) => unknown): Promise<void> {
  const roll = await createRoll()
  try {
    await work(await parts(roll))
  } finally {
    await roll.close()
  }
}

async function parts(roll: Roll) {
  const { sqlite } = roll.registry
  const { fingerprint } = await roll.enroll('d1')
  const lookup = prepareAdmissionLookup(sqlite)
  let lookups = 0
  const view = createRegistryView({
    lookup(asked) {
      lookups += 1
      return lookup(asked)
    },
    lastChange: prepareChangeReader(roll.registry).lastChange,
    policiesOf: () => assert.fail('no policies'),
    doubt: () => null,
    memory: null,
    onOpen() {},
  })
  return {
    roll,
    fingerprint,
    sqlite,
    lookups: () => lookups,
    /** By the record that was read at the gate, at this time. */
    reason(read: AdmissionRecord | null, now = Date.now()) {
      const peer = { fingerprint, chain: 'verified' as const }
      const decision = decideAdmission({ peer, record: view.lookup(fingerprint, read), now, pq: 'accept' })
      return decision.admitted ? null : decision.reason
    },
    read: () => lookup(fingerprint),
  }
}

type Parts = Awaited<ReturnType<typeof parts>>
const ends: [how: string, reason: string, end: (t: Parts) => Promise<unknown>][] = [
  [
    'revoked',
    'certificate_revoked',
    t => t.roll.writer.revokeCertificate(t.fingerprint, 'unspecified', tester),
  ],
  ['suspended', 'device_suspended', t => t.roll.writer.setDeviceState('d1', 'suspended', tester)],
  [
    'decommissioned',
    'device_decommissioned',
    t => t.roll.writer.setDeviceState('d1', 'decommissioned', tester),
  ],
  [
    'under a disabled issuer',
    'issuer_disabled',
    t => t.roll.writer.setIssuerEnabled(t.roll.issuerId, false, tester),
  ],
  [
    'under a disabled root',
    'issuer_disabled',
    t => t.roll.writer.setIssuerEnabled(t.roll.rootId, false, tester),
  ],
]
for (const [how, reason, end] of ends)
  test(`a device that was ${how} behind the gate's look is refused with the record from before`, () =>
    between(async t => {
      const read = t.read()
      assert.equal(t.reason(read), null)
      assert.equal(t.lookups(), 0, 'nothing was read twice')
      await end(t)
      assert.equal(t.reason(read), reason)
      assert.equal(t.lookups(), 1)
    }))

test('the clock of the question counts, not that of the look', () =>
  between(t => {
    const read = t.read()
    assert.equal(t.reason(read, read!.notAfter), null)
    assert.equal(t.reason(read, read!.notAfter + 1), 'certificate_expired')
    assert.equal(t.reason(read, read!.notBefore - 3_600_000), 'certificate_not_yet_valid')
    assert.equal(t.lookups(), 0)
  }))

test('a change that is undone by the next one makes no older record true', () =>
  between(async t => {
    const read = t.read()
    await t.roll.writer.setDeviceState('d1', 'suspended', tester)
    const suspended = t.read()
    await t.roll.writer.setDeviceState('d1', 'active', tester)
    assert.equal(t.reason(suspended), null, 'nor is one that refuses kept')
    assert.equal(t.reason(read), null)
    assert.equal(t.lookups(), 2)
  }))

test('where the change feed cannot be read every record is read anew', () =>
  between(t => {
    const before = t.read()
    t.sqlite.exec('ALTER TABLE changes RENAME TO lost')
    try {
      assert.equal(t.read()?.lastChange, null)
      assert.equal(t.reason(t.read()), null)
      assert.equal(t.reason(before), null)
      assert.equal(t.lookups(), 2)
    } finally {
      t.sqlite.exec('ALTER TABLE lost RENAME TO changes')
    }
  }))
