// The admission decision: each check just before, at and just after its boundary, and never more than one reason.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type AdmissionInput,
  decideAdmission,
  explainAdmission,
  NOT_BEFORE_SKEW_MS,
  rightEndsAt,
} from '../../admission/decide.ts'
import type { AdmissionRecord } from '../../db/admission-lookup.ts'
import type { Reason } from '../../db/reason.ts'
import type { CertificateStatus, DeviceState } from '../../db/schema.ts'

const NOW = Date.UTC(2026, 0, 1)
const FINGERPRINT = 'f'.repeat(64)

const rightful: AdmissionRecord = {
  fingerprint: FINGERPRINT,
  deviceId: 'd1',
  deviceState: 'active',
  status: 'active',
  trust: 'chained',
  notBefore: NOW - 1_000,
  notAfter: NOW + 1_000,
  graceUntil: null,
  firstUsedAt: null,
  clientAuth: true,
  isCa: false,
  defect: null,
  defectGrace: false,
  keyType: 'p256',
  serialNumber: '01',
  issuerId: 'i',
  issuerEnabled: true,
  issuerRevoked: false,
  revokedByIssuer: false,
  issuerNotAfter: NOW + 1_000,
  lastChange: null,
}

function input(
  record: Partial<AdmissionRecord> | null = {},
  peer: Partial<AdmissionInput['peer']> = {},
): AdmissionInput {
  return {
    peer: { fingerprint: FINGERPRINT, chain: 'verified', ...peer },
    record: record === null ? null : { ...rightful, ...record },
    now: NOW,
    pq: 'accept',
  }
}

function reasonOf(given: AdmissionInput): Reason | null {
  const admission = decideAdmission(given)
  return admission.admitted ? null : admission.reason
}

const boundaries: [
  what: string,
  before: Partial<AdmissionRecord>,
  at: Partial<AdmissionRecord>,
  after: Partial<AdmissionRecord>,
  outcomes: (Reason | null)[],
][] = [
  [
    'notBefore less its skew',
    { notBefore: NOW + NOT_BEFORE_SKEW_MS - 1 },
    { notBefore: NOW + NOT_BEFORE_SKEW_MS },
    { notBefore: NOW + NOT_BEFORE_SKEW_MS + 1 },
    [null, null, 'certificate_not_yet_valid'],
  ],
  [
    'notAfter',
    { notAfter: NOW + 1 },
    { notAfter: NOW },
    { notAfter: NOW - 1 },
    // A certificate is valid at exactly its notAfter (RFC 5280 §4.1.2.5).
    [null, null, 'certificate_expired'],
  ],
  [
    'the end of grace',
    { status: 'superseded', graceUntil: NOW + 1 },
    { status: 'superseded', graceUntil: NOW },
    { status: 'superseded', graceUntil: NOW - 1 },
    [null, 'certificate_superseded', 'certificate_superseded'],
  ],
  [
    "the issuer's notAfter",
    { issuerNotAfter: NOW + 1 },
    { issuerNotAfter: NOW },
    { issuerNotAfter: NOW - 1 },
    [null, null, 'issuer_expired'],
  ],
]

for (const [what, before, at, after, outcomes] of boundaries) {
  test(`judges ${what} to the millisecond`, () => {
    assert.deepEqual(
      [before, at, after].map(record => reasonOf(input(record))),
      outcomes,
    )
  })
}

test('the skew is five minutes and holds on notBefore alone', () => {
  assert.equal(NOT_BEFORE_SKEW_MS, 300_000)
  assert.equal(reasonOf(input({ notAfter: NOW - 1 })), 'certificate_expired')
})

test('every status admits or refuses as the table says', () => {
  const table: Record<CertificateStatus, Reason | null> = {
    pending: 'certificate_pending',
    issued: null,
    active: null,
    superseded: 'certificate_superseded',
    suspended: 'certificate_suspended',
    rejected: 'certificate_rejected',
    retired: 'certificate_retired',
    lapsed: 'certificate_lapsed',
    revoked: 'certificate_revoked',
  }
  for (const [status, reason] of Object.entries(table))
    assert.equal(reasonOf(input({ status: status as CertificateStatus })), reason, status)
})

test('every state of the device admits or refuses as the table says', () => {
  const table: Record<DeviceState, Reason | null> = {
    registered: null,
    active: null,
    suspended: 'device_suspended',
    decommissioned: 'device_decommissioned',
  }
  for (const [state, reason] of Object.entries(table))
    assert.equal(reasonOf(input({ deviceState: state as DeviceState })), reason, state)
})

test('a stranger is named by what it presented', () => {
  assert.equal(reasonOf(input(null, { fingerprint: null })), 'certificate_missing')
  assert.equal(reasonOf(input(null)), 'certificate_unlisted')
  assert.equal(reasonOf(input(null, { chain: 'self_signed' })), 'certificate_self_signed')
  assert.equal(reasonOf(input(null, { chain: 'unknown' })), 'issuer_unknown')
})

test('a record of another certificate is no record, and no record is given to nobody', () => {
  assert.equal(reasonOf(input({ fingerprint: '0'.repeat(64) })), 'certificate_unlisted')
  assert.equal(reasonOf(input({}, { fingerprint: null })), 'certificate_missing')
  for (const given of [input({ fingerprint: '0'.repeat(64) }), input({}, { fingerprint: null })]) {
    assert.equal(decideAdmission(given).record, null, 'a stranger is never answered')
  }
})

test('a pin stands for a chain and for itself alone', () => {
  for (const chain of ['self_signed', 'unknown'] as const) {
    assert.equal(reasonOf(input({}, { chain })), 'chain_unverified')
    assert.equal(reasonOf(input({ trust: 'pinned', issuerId: null, issuerNotAfter: null }, { chain })), null)
  }
  assert.equal(reasonOf(input({ isCa: true })), 'certificate_is_ca')
  assert.equal(reasonOf(input({ isCa: true, trust: 'pinned' })), null)
})

test('usage, key and issuer are judged for pinned certificates too', () => {
  for (const trust of ['chained', 'pinned'] as const) {
    assert.equal(reasonOf(input({ trust, clientAuth: false })), 'certificate_usage_forbidden')
    assert.equal(reasonOf(input({ trust, keyType: 'rsa1024' })), 'key_unacceptable')
    assert.equal(reasonOf(input({ trust, issuerEnabled: false })), 'issuer_disabled')
    assert.equal(reasonOf(input({ trust, issuerRevoked: true })), 'issuer_revoked')
    assert.equal(reasonOf(input({ trust, revokedByIssuer: true })), 'certificate_revoked_by_issuer')
  }
})

test('a pin outlives the end of the CA that signed it: it is bound to its word, not to its life', () => {
  assert.equal(reasonOf(input({ issuerNotAfter: NOW - 1 })), 'issuer_expired')
  assert.equal(reasonOf(input({ trust: 'pinned', issuerNotAfter: NOW - 1 })), null)
  assert.equal(rightEndsAt({ ...rightful, trust: 'pinned', notAfter: 9, issuerNotAfter: 5 }), 9)
})

test('the explanation agrees with the decision, whatever is wrong', () => {
  const wrongs: Partial<AdmissionRecord>[] = [
    {},
    { status: 'revoked' },
    { deviceState: 'suspended' },
    { notAfter: 0 },
    { issuerEnabled: false },
    { isCa: true },
    { clientAuth: false },
    { keyType: 'other:x' },
  ]
  for (const one of wrongs) {
    for (const other of wrongs) {
      const given = input({ ...one, ...other })
      const failed = explainAdmission(given).filter(check => check.outcome === 'failed')
      assert.equal(failed[0]?.reason ?? null, reasonOf(given))
    }
  }
  const strange = explainAdmission(input(null))
  assert.deepEqual(
    strange.map(check => check.outcome),
    ['passed', 'failed', ...Array(strange.length - 2).fill('skipped')],
  )
})

test('a right ends with whatever ends first', () => {
  assert.equal(rightEndsAt({ ...rightful, notAfter: 5, issuerNotAfter: 9 }), 5)
  assert.equal(rightEndsAt({ ...rightful, notAfter: 9, issuerNotAfter: 5 }), 5)
  assert.equal(rightEndsAt({ ...rightful, notAfter: 9, issuerNotAfter: null }), 9)
  assert.equal(rightEndsAt({ ...rightful, status: 'superseded', graceUntil: 3, notAfter: 9 }), 3)
  assert.equal(rightEndsAt({ ...rightful, status: 'superseded', graceUntil: null }), 0)
})
