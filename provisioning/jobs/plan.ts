// What a row comes to, told from the row and from what the record says before: refused, nothing left to do, or what there is
// to do. Pure: a dry run ends here. The verbs that write ask the record again, so what changed meanwhile is still refused.
import type { ImportLookup, KnownDevice } from '../../db/jobs/import-lookup.ts'
import type { ConflictCode } from '../../db/transact.ts'
import type { Refused } from '../enrollment/issuance-checks.ts'
import type { CsrReading } from '../x509/csr.ts'
import type { ForeignVerdict } from '../x509/foreign-certificate.ts'
import type { Row } from './row.ts'
import type { RowReason } from './row-fault.ts'

type Reason = ConflictCode | Refused['refused'] | RowReason
export type Refusal = { reason: Reason; detail: string }
/** What was read of a row's CSR and certificates; fingerprints and hashes in lowercase hex. */
export type Evidence = {
  csr: CsrReading | null
  certificates: (ForeignVerdict & { fingerprint: string; spkiHash: string })[]
}
export type Plan = {
  add: boolean
  /** The certificate that the CSR has already. */
  issued: string | null
  enroll: boolean
  /** Which of the row's certificates are to be listed. */
  list: number[]
  state: 'suspended' | 'decommissioned' | null
  /** The endorsement key that is to be put on record. */
  endorsementKey: string | null
}

const CERTIFICATES_MAX = 2

export function planRow(row: Row, evidence: Evidence, record: ImportLookup, now: number): Plan | Refusal {
  const known = record.device(row.deviceId)
  const differs = known === null ? null : difference(row, known)
  if (differs !== null) return differs
  const wanted = row.state === 'suspended' || row.state === 'decommissioned' ? row.state : null
  const plan: Plan = {
    add: known === null,
    issued: null,
    enroll: false,
    list: [],
    state: null,
    endorsementKey: null,
  }
  if (known?.state !== row.state && wanted !== null) plan.state = wanted
  if (row.endorsementKey !== undefined) {
    const refusal = endorsementKeyRefusal(row.deviceId, row.endorsementKey, record)
    if (refusal !== null) return refusal
    if (record.endorsementKeyOf(row.deviceId) === null) plan.endorsementKey = row.endorsementKey
  }
  for (const [index, certificate] of evidence.certificates.entries()) {
    const refusal = 'refused' in certificate ? refused(certificate) : takenBy(row, certificate, record)
    const holder = record.holderOf(certificate.fingerprint)
    // A certificate listed as it should be is left alone, whatever its issuer.
    if (holder === row.deviceId) continue
    if (refusal !== null) return refusal
    plan.list.push(index)
  }
  if (evidence.csr !== null) {
    if (!evidence.csr.accepted) return refused({ refused: evidence.csr.reason, faults: evidence.csr.faults })
    const { spkiHash } = evidence.csr.key
    const refusal = takenBy(row, evidence.csr.key, record)
    if (refusal !== null) return refusal
    plan.issued = record.issuedFor(row.deviceId, spkiHash, now)
    plan.enroll = plan.issued === null
  }
  const more = plan.list.length + (plan.enroll ? 1 : 0)
  if (more > 0 && known?.state === 'decommissioned') return forbids(row.deviceId)
  if (more > 0 && record.admitting(row.deviceId, now) + more > CERTIFICATES_MAX) {
    const detail = `at most ${CERTIFICATES_MAX} certificates admit a device: revoke the one it does not use`
    return { reason: 'certificates_exceeded', detail }
  }
  return plan
}

function difference(row: Row, known: KnownDevice): Refusal | null {
  if (row.attributes !== undefined && !sameAttributes(row.attributes, known.attributes))
    return differing('attributes')
  if (row.groups !== undefined && row.groups.toSorted().join() !== known.groups.toSorted().join())
    return differing('groups')
  if (known.state === 'decommissioned' && row.state !== 'decommissioned') return forbids(row.deviceId)
  return null
}

/** A device has one endorsement key, and an import replaces none. */
function endorsementKeyRefusal(deviceId: string, hash: string, record: ImportLookup): Refusal | null {
  const owner = record.deviceOfEndorsementKey(hash)
  if (owner !== null && owner !== deviceId) {
    const detail = `this endorsement key is that of the device ${owner}`
    return { reason: 'endorsement_key_taken', detail }
  }
  const held = record.endorsementKeyOf(deviceId)
  return held !== null && held !== hash ? differing('endorsementKey') : null
}

function differing(what: string): Refusal {
  const detail = `the device is registered with other ${what}: change it by itself, or leave ${what} out`
  return { reason: 'device_differs', detail }
}

function forbids(deviceId: string): Refusal {
  return {
    reason: 'device_state_forbids',
    detail: `device ${deviceId} is decommissioned: register a new device`,
  }
}

function takenBy(row: Row, { spkiHash }: { spkiHash: string }, record: ImportLookup): Refusal | null {
  const owner = record.ownerOf(spkiHash)
  if (owner === null || owner === row.deviceId) return null
  return {
    reason: 'public_key_taken',
    detail: 'this public key belongs to another device: generate a new key pair',
  }
}

export function refused({
  refused,
  faults,
}: {
  refused: Refused['refused']
  faults: readonly { path: string; message: string }[]
}): Refusal {
  const detail = faults.map(fault => `${fault.path}: ${fault.message}`).join('; ')
  return { reason: refused, detail: detail || 'nothing was issued or listed' }
}

function sameAttributes(one: Record<string, string>, other: Record<string, string>): boolean {
  const names = Object.keys(one)
  return names.length === Object.keys(other).length && names.every(name => one[name] === other[name])
}
