// The admission decision, as one ordered list of checks. Pure: takes the clock, looks nothing up.
// The gate asks it on every connection, the revocation watch on every change, `explain` whenever an operator asks why.
import type { AdmissionRecord } from '../db/admission-lookup.ts'
import type { Reason } from '../db/reason.ts'
import type { CertificateStatus, DeviceState } from '../db/schema.ts'
import type { CertificateFacts } from '../pki/certificate-facts.ts'
import type { ChainVerdict } from '../pki/chain.ts'
import { acceptableKeys, isAcceptableKey, type PqMode } from '../pki/key-policy.ts'

/** What the handshake proved about the peer. */
export type Peer = {
  /** SHA-256 of the presented DER; null where no certificate was presented. */
  fingerprint: string | null
  /** Whether the presented chain verifies to an issuer the registry knows, whatever its state. */
  chain: ChainVerdict
}

/** `pq` is what the setting of that name says of ML-DSA keys. */
export type AdmissionInput = { peer: Peer; record: AdmissionRecord | null; now: number; pq: PqMode }

export type Admission =
  | { admitted: true; record: AdmissionRecord }
  /** `record` is null for a stranger: somebody the registry does not list is never answered. */
  | { admitted: false; reason: Reason; record: AdmissionRecord | null }

/** How far a certificate's notBefore may lie in the future: clocks of devices and CAs differ. */
export const NOT_BEFORE_SKEW_MS = 5 * 60_000

/** What a certificate says of itself, and its issuer on record: for explanations, never for decisions. */
export type Presented = {
  facts: CertificateFacts
  issuer: { id: string; name: string; enabled: boolean; revoked: boolean; notAfter: number } | null
}

type Check<Input> = {
  name: string
  refuses(input: Input): Reason | null
  inputs(input: Input, presented: Presented | null): Record<string, unknown>
  /** Whether it looks at nothing but the certificate, so that it can be explained for a stranger too. */
  ofCertificate?: true
}
type Listed = { peer: Peer; record: AdmissionRecord; now: number; pq: PqMode }

const identityChecks: readonly Check<AdmissionInput>[] = [
  {
    name: 'certificate_presented',
    refuses: ({ peer }) => (peer.fingerprint === null ? 'certificate_missing' : null),
    inputs: ({ peer }) => ({ fingerprint: peer.fingerprint }),
  },
  {
    name: 'on_the_roll',
    refuses: ({ peer, record }) => {
      if (record !== null && record.fingerprint === peer.fingerprint) return null
      return strangers[peer.chain]
    },
    inputs: ({ peer, record }, presented) => ({
      listed: record !== null,
      chain: peer.chain,
      ...(record === null && presented !== null ? namesOf(presented.facts) : {}),
    }),
  },
]

const strangers: Record<Peer['chain'], Reason> = {
  verified: 'certificate_unlisted',
  self_signed: 'certificate_self_signed',
  unknown: 'issuer_unknown',
}

const listedChecks: readonly Check<Listed>[] = [
  {
    name: 'certificate_status',
    refuses: ({ record, now }) => {
      if (record.status === 'superseded')
        return now < (record.graceUntil ?? 0) ? null : 'certificate_superseded'
      return statusRefuses[record.status]
    },
    inputs: ({ record, now }) => ({
      status: record.status,
      ...(record.graceUntil === null ? {} : { graceUntil: time(record.graceUntil), now: time(now) }),
    }),
  },
  {
    name: 'device_state',
    refuses: ({ record }) => stateRefuses[record.deviceState],
    inputs: ({ record }) => ({ deviceId: record.deviceId, state: record.deviceState }),
  },
  {
    name: 'validity',
    ofCertificate: true,
    refuses: ({ record, now }) => {
      // Both ends belong to it (RFC 5280 §4.1.2.5). What is no number is neither before nor after anything: only what holds passes.
      if (!(now >= record.notBefore - NOT_BEFORE_SKEW_MS)) return 'certificate_not_yet_valid'
      return now <= record.notAfter ? null : 'certificate_expired'
    },
    inputs: ({ record, now }) => ({
      notBefore: time(record.notBefore),
      notAfter: time(record.notAfter),
      now: time(now),
      skewMinutes: NOT_BEFORE_SKEW_MS / 60_000,
    }),
  },
  {
    name: 'issuer',
    ofCertificate: true,
    refuses: ({ record, now }) => {
      if (!record.issuerEnabled) return 'issuer_disabled'
      if (record.issuerRevoked) return 'issuer_revoked'
      // Pinning trusts a certificate beyond its CA's end, not beyond its CA's word.
      if (record.trust === 'pinned') return null
      return record.issuerNotAfter === null || now <= record.issuerNotAfter ? null : 'issuer_expired'
    },
    inputs: ({ record, now }, presented) => ({
      issuerId: record.issuerId,
      ...(presented?.issuer?.id === record.issuerId ? { name: presented?.issuer?.name } : {}),
      enabled: record.issuerEnabled,
      revoked: record.issuerRevoked,
      notAfter: time(record.issuerNotAfter),
      now: time(now),
    }),
  },
  {
    name: 'issuer_crl',
    refuses: ({ record }) => (record.revokedByIssuer ? 'certificate_revoked_by_issuer' : null),
    inputs: ({ record }) => ({ serialNumber: record.serialNumber, revoked: record.revokedByIssuer }),
  },
  {
    name: 'chain',
    refuses: ({ peer, record }) =>
      record.trust === 'pinned' || peer.chain === 'verified' ? null : 'chain_unverified',
    inputs: ({ peer, record }, presented) => ({
      trust: record.trust,
      chain: peer.chain,
      ...(presented === null ? {} : { issuer: inOneLine(presented.facts.issuer) }),
    }),
  },
  {
    name: 'end_entity',
    ofCertificate: true,
    // A pinned certificate is trusted for itself alone, so a self-signed one may carry the CA bit.
    refuses: ({ record }) => (record.isCa && record.trust !== 'pinned' ? 'certificate_is_ca' : null),
    inputs: ({ record }) => ({ isCa: record.isCa, trust: record.trust }),
  },
  {
    name: 'key_usage',
    ofCertificate: true,
    refuses: ({ record }) => (record.clientAuth ? null : 'certificate_usage_forbidden'),
    inputs: ({ record }) => ({ clientAuth: record.clientAuth }),
  },
  {
    name: 'conformance',
    refuses: ({ record }) => (record.defect === null || record.defectGrace ? null : record.defect),
    inputs: ({ record }) => ({ defect: record.defect, grace: record.defectGrace }),
  },
  {
    name: 'key',
    ofCertificate: true,
    refuses: ({ record, pq }) => (isAcceptableKey(record.keyType, pq) ? null : 'key_unacceptable'),
    inputs: ({ record, pq }) => ({ keyType: record.keyType, acceptable: acceptableKeys(pq) }),
  },
]

const statusRefuses: Record<Exclude<CertificateStatus, 'superseded'>, Reason | null> = {
  issued: null,
  active: null,
  pending: 'certificate_pending',
  suspended: 'certificate_suspended',
  rejected: 'certificate_rejected',
  retired: 'certificate_retired',
  lapsed: 'certificate_lapsed',
  revoked: 'certificate_revoked',
}

const stateRefuses: Record<DeviceState, Reason | null> = {
  registered: null,
  active: null,
  suspended: 'device_suspended',
  decommissioned: 'device_decommissioned',
}

const identityRefusals = identityChecks.map(check => check.refuses)
const listedRefusals = listedChecks.map(check => check.refuses)

/** Admits only where every check passes; gives the first reason otherwise. `now` in ms since the epoch. */
export function decideAdmission(input: AdmissionInput): Admission {
  const { peer, record, now, pq } = input
  for (const refuses of identityRefusals) {
    const reason = refuses(input)
    if (reason !== null) return { admitted: false, reason, record: null }
  }
  // Unreachable while `on_the_roll` stands; a doubt refuses.
  if (record === null) return { admitted: false, reason: 'internal_error', record: null }
  const listed = { peer, record, now, pq }
  for (const refuses of listedRefusals) {
    const reason = refuses(listed)
    if (reason !== null) return { admitted: false, reason, record }
  }
  return { admitted: true, record }
}

/** When the right of an admitted certificate ends by itself: its own end, its issuer's, or the end of its grace. */
export function rightEndsAt(record: AdmissionRecord): number {
  const grace = record.status === 'superseded' ? (record.graceUntil ?? 0) : Number.POSITIVE_INFINITY
  const issuer = record.trust === 'pinned' ? null : record.issuerNotAfter
  return Math.min(record.notAfter, grace, issuer ?? Number.POSITIVE_INFINITY)
}

export type ExplainedCheck = {
  name: string
  outcome: 'passed' | 'failed' | 'skipped'
  reason: Reason | null
  /** What the check looked at. Empty where it was skipped. */
  inputs: Record<string, unknown>
}

/**
 * The same checks in the same order, all of them, each with what it saw. For a stranger those about the record are
 * skipped; those about the certificate are made where `presented` tells of it, so that one look finds all that is wrong.
 */
export function explainAdmission(
  input: AdmissionInput,
  presented: Presented | null = null,
): ExplainedCheck[] {
  const explained = identityChecks.map(check => explain(check, input, presented))
  const { peer, record, now, pq } = input
  if (record !== null && explained.every(check => check.outcome === 'passed')) {
    return [...explained, ...listedChecks.map(check => explain(check, { peer, record, now, pq }, presented))]
  }
  if (peer.fingerprint === null || presented === null)
    return [...explained, ...listedChecks.map(check => skipped(check.name))]
  const claimed = asIfListed(presented)
  return [
    ...explained,
    ...listedChecks.map(check =>
      check.ofCertificate && (check.name !== 'issuer' || presented.issuer !== null)
        ? explain(check, { peer, record: claimed, now, pq }, presented)
        : skipped(check.name),
    ),
  ]
}

function explain<Input>(check: Check<Input>, input: Input, presented: Presented | null): ExplainedCheck {
  const reason = check.refuses(input)
  return {
    name: check.name,
    outcome: reason === null ? 'passed' : 'failed',
    reason,
    inputs: check.inputs(input, presented),
  }
}

/** What its record would say if the certificate were listed: never part of a decision. */
function asIfListed({ facts, issuer }: Presented): AdmissionRecord {
  return {
    ...facts,
    deviceId: '',
    deviceState: 'registered',
    status: 'issued',
    trust: 'chained',
    graceUntil: null,
    firstUsedAt: null,
    defect: null,
    defectGrace: false,
    issuerId: issuer?.id ?? null,
    issuerEnabled: issuer?.enabled ?? false,
    issuerRevoked: issuer?.revoked ?? false,
    revokedByIssuer: false,
    issuerNotAfter: issuer?.notAfter ?? null,
    lastChange: null,
  }
}

function namesOf({ subject, issuer, serialNumber }: CertificateFacts): Record<string, string> {
  return { subject: inOneLine(subject), issuer: inOneLine(issuer), serialNumber }
}

/** Names as Node prints them take a line for each part. */
export function inOneLine(name: string): string {
  return name.replaceAll('\n', ', ')
}

function skipped(name: string): ExplainedCheck {
  return { name, outcome: 'skipped', reason: null, inputs: {} }
}

function time(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}
