// What a broker remembers of its registry: bounded, forgotten with every change, silent while changes may be unread.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRegistryCache } from '../../../broker/registry/registry-cache.ts'
import type { AdmissionRecord } from '../../../db/admission-lookup.ts'
import type { Change } from '../../../db/change-feed.ts'

const record = (fingerprint: string, deviceId: string): AdmissionRecord => ({
  fingerprint,
  deviceId,
  deviceState: 'active',
  status: 'active',
  trust: 'chained',
  notBefore: 0,
  notAfter: 1,
  graceUntil: null,
  firstUsedAt: 0,
  clientAuth: true,
  isCa: false,
  defect: null,
  defectGrace: false,
  keyType: 'p256',
  serialNumber: '1',
  issuerId: 'ca',
  issuerEnabled: true,
  issuerRevoked: false,
  revokedByIssuer: false,
  issuerNotAfter: 1,
  lastChange: null,
})
const subject = (deviceId: string, document = '{}') => ({
  deviceId,
  attributes: {},
  serialNumber: '1',
  attested: false,
  policies: [{ name: 'default', document, updatedAt: 0 }],
})
const change = (
  kind: Change['kind'],
  deviceId: string | null,
  fingerprint: string | null = null,
): Change => ({
  epoch: 1,
  at: 0,
  kind,
  deviceId,
  fingerprint,
  issuerId: null,
  topic: null,
})

/** Two devices, the first with two certificates. */
function filled(certificatesMax = 10) {
  const memory = createRegistryCache(certificatesMax)
  for (const [fingerprint, deviceId] of [
    ['a1', 'a'],
    ['a2', 'a'],
    ['b1', 'b'],
  ] as const) {
    memory.keepRecord(record(fingerprint, deviceId))
    memory.keepPolicies('ca', subject(deviceId))
  }
  return {
    memory,
    known: () => ['a1', 'a2', 'b1'].filter(fingerprint => memory.record(fingerprint) !== null),
  }
}

const table: [what: string, change: Change, known: string[]][] = [
  ['a certificate', change('certificate', 'a', 'a1'), ['a2', 'b1']],
  ['a certificate that is not known', change('certificate', 'a', 'a9'), ['a1', 'a2', 'b1']],
  ['a device', change('device', 'a'), ['b1']],
  ['the policies of a device', change('policy', 'a'), ['b1']],
  ['the policies of all', change('policy', null), []],
  ['an issuer', change('issuer', null), []],
]
for (const [what, happens, known] of table) {
  test(`a change of ${what} is forgotten, and nothing else`, () => {
    const world = filled()
    world.memory.changed(happens)
    assert.deepEqual(world.known(), known)
  })
}

test('what is read again after a change is known again', () => {
  const { memory, known } = filled()
  memory.changed(change('issuer', null))
  memory.keepRecord(record('a1', 'a'))
  assert.deepEqual(known(), ['a1'], 'its policies have not changed')
  memory.changed(change('policy', null))
  assert.deepEqual(known(), [])
  memory.keepPolicies('ca', subject('a', '{"new":1}'))
  assert.deepEqual(known(), ['a1'])
  assert.equal(memory.policies('a', 'ca')?.policies[0]?.document, '{"new":1}')
})

test('a certificate not known whole is not known: no record, no policies, or those of another issuer', () => {
  const memory = createRegistryCache(10)
  assert.equal(memory.record('a1'), null)
  memory.keepPolicies('ca', subject('a'))
  assert.equal(memory.policies('a', 'ca'), null, 'policies of somebody it has no certificate of')
  memory.keepRecord(record('a1', 'a'))
  assert.equal(memory.record('a1'), null)
  memory.keepPolicies('other', subject('a'))
  assert.equal(memory.record('a1'), null)
  memory.keepPolicies('ca', subject('a'))
  assert.notEqual(memory.record('a1'), null)
})

test('nothing is known while changes may be unread, and all of it once they are', () => {
  const { memory, known } = filled()
  memory.fallBehind()
  assert.deepEqual([known(), memory.policies('a', 'ca')], [[], null])
  memory.catchUp()
  assert.deepEqual(known(), ['a1', 'a2', 'b1'])
})

test('it is bounded: the one longest not asked for goes first', () => {
  const { memory, known } = filled(3)
  memory.keepRecord(record('a1', 'a'))
  memory.keepRecord(record('c1', 'c'))
  assert.deepEqual(known(), ['a1', 'b1'])
  assert.equal(memory.size(), 3)
  for (let more = 0; more < 100; more += 1) memory.keepRecord(record(`x${more}`, `x${more}`))
  assert.equal(memory.size(), 3)
  assert.deepEqual(known(), [])
})
