// What was read of a newcomer at the gate serves the engine's question too, for as long as no change followed it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRegistryCache, type RegistryCache } from '../../../broker/registry/registry-cache.ts'
import { createRegistryView } from '../../../broker/registry/registry-view.ts'
import type { AdmissionRecord } from '../../../db/admission-lookup.ts'

test('reads a newcomer once for gate and engine, and again at its next visit', () => {
  const t = view()
  const read = t.view.lookup('f1')
  assert.equal(t.view.lookup('f1', read), read)
  assert.equal(t.reads(), 1)
  t.view.lookup('f1')
  assert.equal(t.reads(), 2)
})

test('reads again where a change was made between gate and engine', () => {
  const t = view()
  const read = t.view.lookup('f1')
  t.change('revoked')
  assert.equal(t.view.lookup('f1', read)?.status, 'revoked')
})

test('believes nothing it read before where the feed or the registry cannot be read', () => {
  const t = view()
  const read = t.view.lookup('f1')
  t.fail('feed')
  t.view.lookup('f1', read)
  assert.equal(t.reads(), 2)
  t.fail('all')
  assert.throws(() => t.view.lookup('f1', read), /locked/)
  t.fail('nothing')
  const unnamed = { ...read!, lastChange: null }
  assert.notEqual(t.view.lookup('f1', unnamed), unnamed)
})

test('asks the registry again after a record from memory, which says nothing of the registry now', () => {
  const t = view(createRegistryCache(10))
  t.view.lookup('f1')
  t.view.policiesOf('d1', null, '01')
  t.fail('records')
  const recalled = t.view.lookup('f1')
  assert.equal(recalled?.lastChange, null)
  assert.equal(t.view.lookup('f1', recalled)?.deviceId, 'd1', 'the registry is not taken to be back')
  t.change('revoked')
  t.fail('nothing')
  assert.equal(t.view.lookup('f1', recalled)?.status, 'revoked')
})

function view(memory: RegistryCache | null = null) {
  let epoch = 1
  let status: AdmissionRecord['status'] = 'active'
  let failing: 'nothing' | 'feed' | 'records' | 'all' = 'nothing'
  let reads = 0
  return {
    view: createRegistryView({
      lookup(fingerprint) {
        if (failing === 'all' || failing === 'records') throw new Error('locked')
        reads += 1
        const record = { fingerprint, deviceId: 'd1', issuerId: null, status, lastChange: `${epoch}` }
        return record as AdmissionRecord
      },
      lastChange() {
        if (failing === 'feed' || failing === 'all') throw new Error('no feed')
        return `${epoch}`
      },
      policiesOf: (deviceId, _, serialNumber) => ({
        ...{ deviceId, serialNumber, attested: false },
        ...{ attributes: {}, policies: [] },
      }),
      doubt: () => null,
      memory,
      onOpen() {},
    }),
    reads: () => reads,
    change(to: AdmissionRecord['status']) {
      status = to
      epoch += 1
    },
    fail(what: typeof failing) {
      failing = what
    },
  }
}
