// The registration authority: decides what is issued and listed, and never signs.
// What will be signed is on record before the key signs, so a crash leaves something revocable or nothing at all.

import { inSpan } from '../../admin/tracing.ts'
import type { Actor } from '../../db/audit/audit.ts'
import type { CertificateWriter, IssuanceIntent, Listing } from '../../db/issuance/certificate-writer.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { Approval } from '../../db/roll/approval.ts'
import type { CertificateStatus } from '../../db/schema.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { toPem } from '../../pki/pem.ts'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import { DAY_MS, deviceProfile, randomSerialNumber, type Validity, validityOf } from '../ca/profile.ts'
import { DEVICE_URN } from '../x509/certificate-names.ts'
import type { CsrReading } from '../x509/csr.ts'
import { type ForeignVerdict, validateForeignCertificate } from '../x509/foreign-certificate.ts'
import { assertAsIntended, inability, type Refused, unfitKey } from './issuance-checks.ts'
import type { Renewable } from './renewal-window.ts'

/** `certificate` and `chain` are PEM. */
export type Canary = { kind: CanaryKind; fingerprint: string; certificate: string; chain: string[] }
type CanaryKind = 'unlisted' | 'expired'

/**
 * `redeems` is what entitles to it, `authenticator` the certificate that asked; `approval`: it waits for an operator;
 * `provisional`: it must be used within the hour; `early`: it comes outside the renewal window; `attestation`: a TPM proved its key.
 */
export type EnrollmentOrder = {
  deviceId: string
  /** PEM, or what was read of it before. */
  csr: string | CsrReading
  days: number
  compromise?: boolean
  redeems?: IssuanceIntent['redeems']
  authenticator?: IssuanceIntent['authenticator']
  approval?: Approval
  provisional?: boolean
  early?: Listing['early']
  attestation?: Listing['attestation']
}

/** `current` is on record and admitted; `days` is the validity asked for. */
type RenewalOrder = {
  current: Renewable & { deviceId: string }
  /** PEM, or what was read of it before. */
  csr: string | CsrReading
  days: number
  compromise: boolean
}

export type Unused = { fingerprint: string; status: CertificateStatus }

type ForeignOrder = {
  deviceId: string
  certificate: string
  trust: 'chained' | 'pinned'
  approval?: Approval
}

export type RegistrationAuthority = {
  /** Issues a certificate for a device's CSR and lists it; gives its fingerprint. */
  enroll(order: EnrollmentOrder, actor: Actor): Promise<string | Refused>
  /**
   * Issues the certificate that is to follow a device's current one, once that is due; gives its fingerprint. One for a
   * compromised key is issued at any time, and waits for an operator. The same key again gives the same certificate, until
   * it is used.
   */
  renew(order: RenewalOrder, actor: Actor): Promise<{ fingerprint: string } | { opensAt: number } | Refused>
  /** Lists a certificate that somebody else issued; gives its fingerprint. */
  register(order: ForeignOrder, actor: Actor): Promise<string | Refused>
  /** Judges such a certificate as `register` does, and lists nothing. */
  validate(order: ForeignOrder): Promise<ForeignVerdict>
  /** Issues a certificate that must never be admitted. */
  canary(order: { deviceId: string; csr: string; kind: CanaryKind }, actor: Actor): Promise<Canary | Refused>
}

type RegistrationAuthorityParts = {
  /** The CA that issues now: another one from one moment to the next, so each order asks once. */
  ca: () => IssuingCa
  writer: Pick<CertificateWriter, 'recordIntent' | 'completeIntent' | 'listCertificate'>
  /** Reads a CSR and verifies it. */
  readCsr(csr: string): Promise<CsrReading>
  issuers: () => Map<string, Issuer>
  /** A certificate for this key that the device has not used: issued, approved, waiting for an operator, or rejected. */
  unusedOf: (deviceId: string, spkiHash: string) => Promise<Unused | null>
  /** The hash of the public key of a listed certificate. */
  keyOf: (fingerprint: string) => Promise<string>
  isDevice: (id: string) => Promise<boolean>
  /** From when on a certificate may be renewed. */
  opensAt: (certificate: Renewable) => number
  /** A certificate was signed; how long that took, from its CSR on. */
  onIssued: (tookMs: number) => void
  /** Whether certificates may hold ML-DSA keys. */
  pq: PqMode
  now: () => number
}

const CANARY_DAYS = 90

type IssuingOrder = {
  deviceId: string
  csr: string | CsrReading
  purpose: 'device' | 'canary'
  validity: Validity
  redeems?: IssuanceIntent['redeems']
  authenticator?: IssuanceIntent['authenticator']
  approval?: Approval
}
type Issued = { der: Buffer; serialNumber: string }

export function createRegistrationAuthority(parts: RegistrationAuthorityParts): RegistrationAuthority {
  const { writer, issuers, isDevice, pq, now } = parts

  function issue(ca: IssuingCa, order: IssuingOrder, actor: Actor): Promise<Issued | Refused> {
    const attributes = { 'rollcall.device_id': order.deviceId, 'rollcall.purpose': order.purpose }
    return inSpan(
      'rollcall.issue',
      attributes,
      () => issueNow(ca, order, actor),
      outcome => {
        return 'refused' in outcome ? { 'rollcall.refused': outcome.refused } : {}
      },
    )
  }

  /** Intent, signature, and a look at what was signed. */
  async function issueNow(ca: IssuingCa, order: IssuingOrder, actor: Actor): Promise<Issued | Refused> {
    const begin = performance.now()
    const unable = inability(ca, issuers(), now())
    if (unable !== null) return unable
    const reading = typeof order.csr === 'string' ? await parts.readCsr(order.csr) : order.csr
    if (!reading.accepted) return { refused: reading.reason, faults: reading.faults }
    const unfit = unfitKey(reading.key, pq)
    if (unfit !== null) return unfit
    const intent: IssuanceIntent = {
      serialNumber: randomSerialNumber(),
      issuerId: ca.id,
      deviceId: order.deviceId,
      spkiHash: reading.key.spkiHash,
      purpose: order.purpose,
      redeems: order.redeems,
      authenticator: order.authenticator,
      approval: order.approval ?? false,
      ...order.validity,
    }
    await writer.recordIntent(intent, actor)
    const der = await ca.sign({
      profile: deviceProfile(order.deviceId),
      spki: reading.key.spki,
      serialNumber: intent.serialNumber,
      validity: order.validity,
    })
    const names = { commonName: order.deviceId, uri: `${DEVICE_URN}${order.deviceId}` }
    assertAsIntended(der, intent, names, ca)
    parts.onIssued(performance.now() - begin)
    return { der, serialNumber: intent.serialNumber }
  }

  async function enroll(order: EnrollmentOrder, actor: Actor): Promise<string | Refused> {
    const { deviceId, csr, redeems, authenticator, attestation } = order
    const { compromise = false, approval = false, provisional = false, early = false } = order
    const ca = parts.ca()
    const validity = validityOf(order.days, now(), ca.notAfter)
    const issued = await issue(
      ca,
      { deviceId, csr, purpose: 'device', validity, redeems, authenticator, approval },
      actor,
    )
    if ('refused' in issued) return issued
    const listed = listing(issued.der, deviceId, ca.id, 'certificate.issue', approval)
    return writer.listCertificate(
      { ...listed, compromise, provisional, authenticator, early, attestation },
      actor,
    )
  }

  function validate({ deviceId, certificate: pem, trust }: ForeignOrder): Promise<ForeignVerdict> {
    return validateForeignCertificate({ pem, deviceId, trust, issuers: issuers(), isDevice, pq, now: now() })
  }

  return {
    enroll,

    async renew({ current, csr, days, compromise }, actor) {
      const { deviceId, fingerprint } = current
      const reading = typeof csr === 'string' ? await parts.readCsr(csr) : csr
      if (!reading.accepted) return { refused: reading.reason, faults: reading.faults }
      const { spkiHash } = reading.key
      const waiting = await parts.unusedOf(deviceId, spkiHash)
      if (waiting?.status === 'rejected') return { refused: 'enrollment_rejected', faults: [] }
      if (waiting !== null && waiting.fingerprint !== fingerprint) return waiting
      const opensAt = parts.opensAt(current)
      if (!compromise && now() < opensAt) return { opensAt }
      const currentKey = await parts.keyOf(fingerprint)
      if (compromise && currentKey === spkiHash) {
        const fault = { path: 'csr', message: 'it holds the very key that is compromised: make a new one' }
        return { refused: 'public_key_compromised', faults: [fault] }
      }
      // The thief of a key can say so, too: then an operator decides which of the two is the device.
      const outcome = await enroll(
        {
          ...{ deviceId, csr: reading, days, compromise },
          ...{
            approval: compromise,
            early: compromise || (currentKey !== spkiHash && now() >= current.notAfter),
          },
          authenticator: { fingerprint, spkiHash: currentKey },
        },
        actor,
      )
      return typeof outcome === 'string' ? { fingerprint: outcome } : outcome
    },

    validate,

    async register(order, actor) {
      const { deviceId, trust, approval = false } = order
      const verdict = await validate(order)
      if ('refused' in verdict) return verdict
      const listed = listing(verdict.der, deviceId, verdict.issuerId, 'certificate.register', approval)
      return writer.listCertificate({ ...listed, trust }, actor)
    },

    async canary({ deviceId, csr, kind }, actor) {
      const ca = parts.ca()
      const validity =
        kind === 'expired' ? expiredValidity(now()) : validityOf(CANARY_DAYS, now(), ca.notAfter)
      const issued = await issue(ca, { deviceId, csr, purpose: 'canary', validity }, actor)
      if ('refused' in issued) return issued
      const fingerprint = fingerprintOf(issued.der)
      if (kind === 'expired') {
        await writer.listCertificate(listing(issued.der, deviceId, ca.id, 'certificate.canary'), actor)
      } else {
        await writer.completeIntent(issued.serialNumber, fingerprint, actor)
      }
      return { kind, fingerprint, certificate: toPem(issued.der, 'CERTIFICATE'), chain: ca.chain }
    },
  }
}

function listing(
  der: Buffer,
  deviceId: string,
  issuerId: string | null,
  action: Listing['action'],
  approval: Approval = false,
): Listing {
  const status = approval === true ? 'pending' : 'issued'
  const terms = typeof approval === 'boolean' ? {} : { pendingIf: approval }
  return { der, deviceId, issuerId, trust: 'chained', status, action, ...terms }
}

/** Valid for a day that ended a day ago. */
function expiredValidity(now: number): Validity {
  return validityOf(1, now - 2 * DAY_MS)
}
