// How a certificate stands towards CRL and OCSP: every status and state, held against what admits.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RevocationRow } from '../../../db/issuers/revocation-reader.ts'
import type { CertificateStatus, DeviceState } from '../../../db/schema.ts'
import { revocationStatusOf } from '../../../provisioning/revocation/revocation-status.ts'

const row: RevocationRow = {
  serialNumber: '5a'.repeat(20),
  status: 'active',
  revocationReason: null,
  notAfter: 9_000,
  graceUntil: null,
  issuedAt: 1_000,
  revokedAt: null,
  changedAt: 2_000,
  deviceState: 'active',
  deviceChangedAt: null,
}

const certificates: [CertificateStatus, string | null, number][] = [
  ['issued', null, 0],
  ['active', null, 0],
  ['superseded', null, 0],
  ['pending', 'certificateHold', 2_000],
  ['suspended', 'certificateHold', 2_000],
  ['rejected', 'privilegeWithdrawn', 2_000],
  ['lapsed', 'cessationOfOperation', 2_000],
  ['retired', 'superseded', 3_000],
  ['revoked', 'keyCompromise', 4_000],
]

const more = { graceUntil: 3_000, revokedAt: 4_000, revocationReason: 'keyCompromise' }

for (const [status, reason, at] of certificates)
  test(`a certificate that is ${status} is ${reason ?? 'good'}`, () => {
    const revocation = revocationStatusOf({ ...row, ...more, status })
    assert.deepEqual(revocation, reason === null ? { good: true } : { good: false, reason, at })
  })

test('a device that is out takes its good certificates along; what is final stays what it is', () => {
  const of = (status: CertificateStatus, deviceState: DeviceState) =>
    revocationStatusOf({ ...row, ...more, status, deviceState, deviceChangedAt: 5_000 })
  const held = { good: false, reason: 'certificateHold', at: 5_000 }
  const ended = { good: false, reason: 'cessationOfOperation', at: 5_000 }
  for (const status of ['issued', 'active', 'superseded'] as const) {
    assert.deepEqual(of(status, 'registered'), { good: true })
    assert.deepEqual(of(status, 'suspended'), held)
    assert.deepEqual(of(status, 'decommissioned'), ended)
  }
  assert.deepEqual(of('suspended', 'decommissioned'), ended)
  assert.deepEqual(of('revoked', 'decommissioned'), { good: false, reason: 'keyCompromise', at: 4_000 })
})
