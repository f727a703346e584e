// Enrollment without an operator's hand: what a token, a claim or an IDevID may enroll, and the same answer for the same key.
// Decides about devices and lost answers; whether the token or claim still holds is asked again where it is used up.

import type { Actor } from '../../db/audit/audit.ts'
import type { Claim, ClaimStore } from '../../db/enrollment/claims.ts'
import type { EndorsementKeyStore } from '../../db/enrollment/endorsement-keys.ts'
import {
  ATTEMPTS_MAX,
  type EnrollmentTokenStore,
  exhausted,
  expired,
  mayAskAgain,
  type PresentedToken,
  revoked,
  used,
} from '../../db/enrollment/enrollment-tokens.ts'
import type { IdevidStore } from '../../db/enrollment/idevids.ts'
import type { TpmUse } from '../../db/enrollment/tpm-redemption.ts'
import type { Certificate, RollReader } from '../../db/roll/roll-reader.ts'
import { Conflict, type EnrollmentConflictCode } from '../../db/transact.ts'
import { DEVICE_ID_RULE, isDeviceId } from '../../pki/device-id.ts'
import type { Fault } from '../http/problem.ts'
import { type CsrReading, readCsr } from '../x509/csr.ts'
import type { PresentedIdevid } from './idevid.ts'
import type { Refused } from './issuance-checks.ts'
import type { EnrollmentOrder, RegistrationAuthority } from './registration-authority.ts'

/** The credential of an enrollment request. */
export type Credential =
  | { kind: 'token'; id: string; tpm?: TpmProof }
  | { kind: 'tpm'; proof: TpmProof }
  | { kind: 'claim'; claim: Claim }
  | { kind: 'idevid'; shown: PresentedIdevid }
/** What a device can show with a request. That of a TPM is no credential before it has answered its challenge. */
export type ShownCredential = Exclude<Credential, { kind: 'tpm' }>
/** A TPM proved that it holds the key; `approval`: the certificate waits for an operator. */
export type TpmProof = { use: TpmUse; approval: boolean }
/** `deviceId` is null where the request leaves it to the token; `csr` is PEM, or a key whose possession was proven in another way. */
export type Asked = { deviceId: string | null; csr: string | CsrReading }
export type Enrolled = { certificate: Certificate; pending: boolean }
type EnrollmentRefused =
  | Refused
  | { refused: 'device_id_missing' | 'device_id_refused' | 'enrollment_rejected'; faults: Fault[] }

type Outcome = Enrolled | EnrollmentRefused

export type EnrollmentService = {
  /** Throws a `Conflict` where the token or claim does not hold (any more). */
  enroll(credential: Credential, asked: Asked, actor: Actor): Promise<Outcome>
}

type EnrollmentServiceOptions = {
  authority: Pick<RegistrationAuthority, 'enroll'>
  writer: Pick<EnrollmentTokenStore, 'knownToken' | 'countAttempt' | 'uncountAttempt'> &
    Pick<ClaimStore, 'isClaimed'> &
    Pick<IdevidStore, 'deviceOfIdevid'> &
    Pick<EndorsementKeyStore, 'endorsementKey' | 'isAttestedBy'>
  roll: Pick<RollReader, 'certificate' | 'certificates'>
  deviceDays: number
  /** From when on a certificate may be renewed. */
  opensAt: (certificate: Certificate) => number
  now: () => number
}

export function createEnrollmentService(parts: EnrollmentServiceOptions): EnrollmentService {
  const { authority, writer, roll, now } = parts
  /** What is under way: the same asked twice at once is done once. Bounded by the connections there may be. */
  const underWay = new Map<string, Promise<Outcome>>()

  async function byToken(
    { id, tpm }: Extract<Credential, { kind: 'token' }>,
    asked: Asked,
    reading: CsrReading,
    actor: Actor,
  ): Promise<Outcome> {
    const token = writer.knownToken(id)
    if (token === null) throw revoked()
    const fault = tokenFault(token, now())
    if (fault !== null) throw fault
    const deviceId = token.deviceId ?? asked.deviceId ?? ''
    const order = {
      csr: asked.csr,
      days: parts.deviceDays,
      redeems: { token: token.id, ...(tpm && { tpm: tpm.use }) },
      approval: token.approval || tpm?.approval || { ifHeld: token.approvalIfHeld, within: token.madeWithin },
      ...(tpm && provenBy(tpm.use)),
    }
    if (token.usedAt !== null) {
      const sameKey = reading.accepted && reading.key.spkiHash === token.spkiHash
      const sameDevice = asked.deviceId === null || asked.deviceId === token.usedBy
      if (!sameKey || !sameDevice || token.usedBy === null) throw used()
      if (token.fingerprint !== null) return again(token, token.fingerprint)
      // Decided, but never made: a crash came between. No attempt is counted for that.
      return issued({ ...order, deviceId: token.usedBy }, actor)
    }
    await writer.countAttempt(token.id)
    const misnamed = misnaming(deviceId, asked.deviceId)
    if (misnamed !== null) return misnamed
    try {
      const outcome = await issued({ ...order, deviceId }, actor)
      if ('refused' in outcome && ownFaults.has(outcome.refused)) await writer.uncountAttempt(token.id)
      return outcome
    } catch (error) {
      if (!(error instanceof Conflict)) await writer.uncountAttempt(token.id).catch(() => {})
      throw error
    }
  }

  async function again(token: PresentedToken, fingerprint: string): Promise<Outcome> {
    const certificate = await roll.certificate(fingerprint)
    if (certificate === null) throw used()
    // A device that waits for an operator asks until it is decided, and once more.
    const unused = mayWait(token) && certificate.firstUsedAt === null
    if (!unused && !mayAskAgain(token, now())) throw used()
    return outcomeOf(certificate) ?? Promise.reject(used())
  }

  function byClaim(
    { id, approval, fingerprint, spkiHash }: Claim,
    asked: Asked,
    reading: CsrReading,
    actor: Actor,
  ): Promise<Outcome> {
    const deviceId = asked.deviceId ?? ''
    if (fingerprint === null) throw new Error('a claim that was never signed was shown')
    const authenticator = { fingerprint, spkiHash }
    const order = {
      deviceId,
      csr: asked.csr,
      redeems: { claim: id },
      authenticator,
      approval,
      provisional: true,
    }
    return byCertificate(order, () => writer.isClaimed(id, deviceId), reading, actor)
  }

  async function byIdevid(
    shown: PresentedIdevid,
    asked: Asked,
    reading: CsrReading,
    actor: Actor,
  ): Promise<Outcome> {
    const { idevid, deviceId, approval, spkiHash } = shown
    const authenticator = { fingerprint: idevid.fingerprint, spkiHash }
    const misnamed = misnaming(deviceId, asked.deviceId)
    if (misnamed !== null) return misnamed
    const early = 'if held' as const
    const order = { deviceId, csr: asked.csr, redeems: { idevid }, authenticator, approval, early }
    return byCertificate(order, () => writer.deviceOfIdevid(idevid.fingerprint) === deviceId, reading, actor)
  }

  /** The device is its endorsement key: that on record with it, or one that is named by it. */
  async function byTpm(
    { use, approval }: TpmProof,
    asked: Asked,
    reading: CsrReading,
    actor: Actor,
  ): Promise<Outcome> {
    const deviceId = writer.endorsementKey(use.ekHash)?.deviceId ?? deviceOfTpm(use.ekHash)
    const misnamed = misnaming(deviceId, asked.deviceId)
    if (misnamed !== null) return misnamed
    const early = (await isDue(deviceId)) ? false : ('if held' as const)
    const order = { deviceId, csr: asked.csr, redeems: { tpm: use }, approval, early, ...provenBy(use) }
    // One that was issued for the key without its TPM's proof is no answer to that proof.
    return byCertificate(order, fingerprint => writer.isAttestedBy(fingerprint, use.ekHash), reading, actor)
  }

  /** Whether the newest certificate that the device holds may be renewed. */
  async function isDue(deviceId: string): Promise<boolean> {
    const { items } = await roll.certificates({ deviceId }, null, CERTIFICATES_LOOKED_AT)
    const held = items.filter(({ status }) => status === 'issued' || status === 'active')
    const [newest] = held.toSorted((a, b) => b.issuedAt - a.issuedAt)
    return newest !== undefined && parts.opensAt(newest) <= now()
  }

  /** `known`: whether the caller has enrolled this device before, and so may see the former answer. */
  async function byCertificate(
    order: Omit<EnrollmentOrder, 'days'>,
    known: (fingerprint: string) => boolean,
    reading: CsrReading,
    actor: Actor,
  ): Promise<Outcome> {
    const { deviceId } = order
    const misnamed = misnaming(deviceId, deviceId)
    if (misnamed !== null) return misnamed
    if (!reading.accepted) return { refused: reading.reason, faults: reading.faults }
    const { items } = await roll.certificates({ deviceId }, null, CERTIFICATES_LOOKED_AT)
    for (const certificate of items) {
      const same = certificate.spkiHash === reading.key.spkiHash && certificate.firstUsedAt === null
      const found = same && known(certificate.fingerprint) ? outcomeOf(certificate) : null
      if (found !== null) return found
    }
    return issued({ ...order, days: parts.deviceDays }, actor)
  }

  async function issued(order: EnrollmentOrder, actor: Actor): Promise<Outcome> {
    const outcome = await authority.enroll(order, actor)
    if (typeof outcome !== 'string') return outcome
    const certificate = await roll.certificate(outcome)
    if (certificate === null) throw new Error('a listed certificate cannot be read back')
    return { certificate, pending: certificate.status === 'pending' }
  }

  return {
    async enroll(credential, asked, actor) {
      const reading = typeof asked.csr === 'string' ? await readCsr(asked.csr) : asked.csr
      const decide = () => {
        if (credential.kind === 'token') return byToken(credential, asked, reading, actor)
        if (credential.kind === 'tpm') return byTpm(credential.proof, asked, reading, actor)
        return credential.kind === 'claim'
          ? byClaim(credential.claim, asked, reading, actor)
          : byIdevid(credential.shown, asked, reading, actor)
      }
      if (!reading.accepted) return decide()
      const key = [holderOf(credential), asked.deviceId ?? '', reading.key.spkiHash].join(' ')
      const running = underWay.get(key)
      if (running !== undefined) return running
      const work = decide().finally(() => underWay.delete(key))
      underWay.set(key, work)
      return work
    },
  }
}

/** The actor behind a credential, for the audit row. */
export function holderOf(credential: Credential): string {
  if (credential.kind === 'token') return `enrollment-token:${credential.id}`
  if (credential.kind === 'tpm') return `tpm:${credential.proof.use.ekHash}`
  return credential.kind === 'claim'
    ? `claim:${credential.claim.id}`
    : `idevid:${credential.shown.idevid.fingerprint}`
}

/** The name of a device that enrolls by its TPM alone: 128 bits of the endorsement key's hash. */
function deviceOfTpm(ekHash: string): string {
  return `tpm-${ekHash.slice(0, 32)}`
}

/** The endorsement key authenticated the request: what it obtained is told from what another key obtained. */
function provenBy({ session, ekHash, key }: TpmUse): Pick<EnrollmentOrder, 'authenticator' | 'attestation'> {
  return {
    authenticator: { fingerprint: ekHash, spkiHash: ekHash },
    attestation: { session, ekHash, keyName: key.name, keyAttributes: key.attributes },
  }
}

const CERTIFICATES_LOOKED_AT = 50
/** Refusals that are not the caller's fault: they use up no attempt of the token. */
const ownFaults: ReadonlySet<string> = new Set(['ca_expired', 'issuer_disabled'])

/** Why a token opens nothing, whatever is asked with it, or null. */
export function tokenFault(token: PresentedToken, now: number): Conflict<EnrollmentConflictCode> | null {
  if (token.revokedAt !== null) return revoked()
  if (token.usedAt !== null) return mayWait(token) || mayAskAgain(token, now) ? null : used()
  if (token.expiresAt <= now) return expired()
  return token.attempts >= ATTEMPTS_MAX ? exhausted() : null
}

/** Whether a certificate that it gets may wait for an operator. */
function mayWait({ approval, approvalIfHeld, madeWithin }: PresentedToken): boolean {
  return approval || approvalIfHeld || madeWithin !== null
}

/** What an earlier answer said, as it stands now; null where that certificate is of no use any more. */
function outcomeOf(certificate: Certificate): Enrolled | EnrollmentRefused | null {
  const { status } = certificate
  if (status === 'rejected') return { refused: 'enrollment_rejected', faults: [] }
  const pending = status === 'pending'
  return pending || status === 'issued' || status === 'active' ? { certificate, pending } : null
}

/** `deviceId` is empty if none is named, `asked` null if the request leaves it open. */
function misnaming(deviceId: string, asked: string | null): EnrollmentRefused | null {
  if (deviceId === '') return missing('name the device that is to be enrolled')
  if (asked !== null && asked !== deviceId) {
    const fault = { path: 'deviceId', message: 'what was shown is for another device' }
    return { refused: 'device_id_refused', faults: [fault] }
  }
  return isDeviceId(deviceId) ? null : missing(`a device ID is ${DEVICE_ID_RULE}`)
}

function missing(message: string): EnrollmentRefused {
  return { refused: 'device_id_missing', faults: [{ path: 'deviceId', message }] }
}
