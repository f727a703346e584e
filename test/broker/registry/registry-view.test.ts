// What was read of a newcomer at the gate serves the engine's question too, for as long as nobody has written.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRegistryView } from '../../../broker/registry/registry-view.ts'
import type { AdmissionRecord } from '../../../db/admission-lookup.ts'

test('reads a newcomer once for gate and engine, and again at its next visit', () => {
  const t = view()
  assert.equal(t.view.lookup('f1')?.status, 'active')
  assert.equal(t.view.lookup('f1')?.status, 'active')
  assert.equal(t.reads(), 1)
  t.view.lookup('f1')
  assert.equal(t.reads(), 2)
})

test('reads again where somebody wrote between gate and engine', () => {
  const t = view()
  assert.equal(t.view.lookup('f1')?.status, 'active')
  t.write('revoked')
  assert.equal(t.view.lookup('f1')?.status, 'revoked')
})

test('believes nothing it read before where the registry cannot be read now', () => {
  const t = view()
  t.view.lookup('f1')
  t.fail(true)
  assert.throws(() => t.view.lookup('f1'), /locked/)
  t.fail(false)
  t.view.lookup('f1')
  assert.equal(t.reads(), 2)
})

test('remembers no stranger', () => {
  const t = view()
  t.view.lookup('nobody')
  t.view.lookup('nobody')
  assert.equal(t.reads(), 2)
})

function view() {
  let version = 1
  let status: AdmissionRecord['status'] = 'active'
  let failing = false
  let reads = 0
  return {
    view: createRegistryView({
      lookup(fingerprint) {
        reads += 1
        return fingerprint === 'nobody' ? null : ({ fingerprint, status } as AdmissionRecord)
      },
      dataVersion() {
        if (failing) throw new Error('locked')
        return version
      },
      policiesOf: (deviceId, _, serialNumber) => ({
        ...{ deviceId, serialNumber, attested: false },
        ...{ attributes: {}, policies: [] },
      }),
      doubt: () => null,
      memory: null,
      onOpen() {},
    }),
    reads: () => reads,
    write(to: AdmissionRecord['status']) {
      status = to
      version += 1
    },
    fail(now: boolean) {
      failing = now
    },
  }
}
