// Verbs that bring certificates on the roll: the intent before the key signs, and listing. The facts of a certificate are read from
// its DER here, so no caller can list one thing and present another.
import type { Transaction } from 'kysely'
import { type CertificateFacts, certificateFacts } from '../../pki/certificate-facts.ts'
import { defectOf } from '../../pki/leaf-conformance.ts'
import { renewalOpensAt } from '../../pki/renewal-window.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { type Redemption, redeem } from '../enrollment/redemption.ts'
import { assertMayIssue } from '../issuers/may-issue.ts'
import { bindPublicKey } from '../keys/public-keys.ts'
import type { Registry } from '../open.ts'
import {
  type AdmissibleCertificate,
  admissibleCertificatesOf,
  assertRoom,
  assertRoomToWait,
  holdsCertificate,
} from '../roll/admissible-certificates.ts'
import { type Approval, type ApprovalTerms, waitsForApproval } from '../roll/approval.ts'
import { type Attestation, recordAttestation } from '../roll/attestations.ts'
import { revokeIfListed } from '../roll/crl-compromise.ts'
import { PENDING_KEPT_MS, PROVISIONAL_KEPT_MS, RENEWAL_KEPT_MS, setDeadline } from '../roll/deadlines.ts'
import { stateOf } from '../roll/device-writer.ts'
import { type Authenticator, assertMayAuthenticate, recordLineage } from '../roll/lineage.ts'
import { signerOnRecord } from '../roll/pinned-certificates.ts'
import { lapseUnusedRenewal } from '../roll/unused-renewals.ts'
import type { Schema, Trust } from '../schema.ts'
import { insert, rowsOf, run } from '../statement.ts'
import { Conflict, transact } from '../transact.ts'

/** What the issuing CA is about to sign. Times in ms since the epoch, `serialNumber` in lowercase hex. */
export type IssuanceIntent = {
  serialNumber: string
  issuerId: string
  deviceId: string
  spkiHash: string
  purpose: 'device' | 'canary' | 'server'
  notBefore: number
  notAfter: number
  /** What entitles to it, used up in the same transaction. */
  redeems?: Redemption | undefined
  /** The certificate that authenticated the request, where one did. */
  authenticator?: Authenticator | undefined
  /** Whether the certificate is to wait for an operator. */
  approval?: Approval
}

export type Listing = {
  der: Buffer
  deviceId: string
  /** Null where it is pinned: it is bound to the CA on record that signed it, if any. */
  issuerId: string | null
  trust: Trust
  status: 'issued' | 'pending'
  /** On which terms one that is `issued` waits for an operator all the same. */
  pendingIf?: ApprovalTerms
  /** What brought it on the roll, for the audit row. */
  action: 'certificate.issue' | 'certificate.register' | 'certificate.canary'
  /** Whether it is to replace one whose key is no longer safe: that one gets no grace. */
  compromise?: boolean
  /** Whether it lapses within the hour unless it is used. */
  provisional?: boolean
  /** Whether it comes outside the renewal window, which somebody should hear of; `if held`: where the device holds one. */
  early?: boolean | 'if held'
  /** The certificate that authenticated the request, where one did. */
  authenticator?: Authenticator | undefined
  /** What a TPM proved of its key. */
  attestation?: Attestation | undefined
}

export type CertificateWriter = {
  /** Puts on record what will be signed, and binds the public key to the device. Refuses keys of other devices. */
  recordIntent(intent: IssuanceIntent, actor: Actor): Promise<void>
  /** Notes the certificate that came of an intent without listing it (server certificates, unlisted canaries). */
  completeIntent(serialNumber: string, fingerprint: string, actor: Actor): Promise<void>
  listCertificate(listing: Listing, actor: Actor): Promise<string>
}

export function createCertificateWriter(registry: Registry, now: () => number): CertificateWriter {
  return {
    recordIntent: (intent, actor) =>
      transact(registry, async transaction => {
        if (intent.purpose !== 'server') {
          await assertMayIssue(transaction, intent.issuerId)
          if (intent.authenticator) await assertMayAuthenticate(transaction, intent.authenticator)
          await redeem(transaction, intent, actor, now())
          await assertDeviceLives(transaction, intent.deviceId)
          await bindPublicKey(transaction, intent.spkiHash, intent.deviceId)
          // Asked again when it is listed; here, so that nothing is signed in vain.
          if (intent.purpose === 'device') await assertRoomFor(transaction, intent, actor, now())
        }
        await insert(transaction, 'issuances', {
          serial_number: intent.serialNumber,
          issuer_id: intent.issuerId,
          device_id: intent.deviceId,
          spki_hash: intent.spkiHash,
          purpose: intent.purpose,
          not_before: intent.notBefore,
          not_after: intent.notAfter,
          intended_at: now(),
          fingerprint: null,
        })
        await appendAudit(transaction, {
          at: now(),
          actor,
          action: 'certificate.intend',
          target: intent.deviceId,
          detail: { serialNumber: intent.serialNumber, purpose: intent.purpose },
        })
      }),

    completeIntent: (serialNumber, fingerprint, actor) =>
      transact(registry, async transaction => {
        await completeIssuance(transaction, serialNumber, fingerprint)
        await appendAudit(transaction, {
          at: now(),
          actor,
          action: 'certificate.sign',
          target: fingerprint,
          detail: { serialNumber, listed: false },
        })
      }),

    listCertificate: (listing, actor) =>
      transact(registry, transaction => listCertificateIn(transaction, listing, actor, now())),
  }
}

/** Lists a certificate as part of a larger change; gives its fingerprint. Throws as `listCertificate` does. */
export async function listCertificateIn(
  transaction: Transaction<Schema>,
  order: Listing,
  actor: Actor,
  at: number,
): Promise<string> {
  const facts = certificateFacts(order.der)
  const held = await holdsCertificate(transaction, order.deviceId, at)
  const waits = await waitsForApproval(transaction, order.deviceId, order.pendingIf ?? false, at)
  const listing = waits ? { ...order, status: 'pending' as const } : order
  if (listing.authenticator) await assertMayAuthenticate(transaction, listing.authenticator)
  await assertDeviceLives(transaction, listing.deviceId)
  await bindPublicKey(transaction, facts.spkiHash, listing.deviceId)
  const issuerId = listing.issuerId ?? (await signerOnRecord(transaction, listing.der))
  await assertNew(transaction, facts.fingerprint, issuerId, facts.serialNumber)
  const before = await admittedBefore(transaction, listing, actor, at)
  await insert(transaction, 'certificates', {
    fingerprint: facts.fingerprint,
    device_id: listing.deviceId,
    issuer_id: issuerId,
    trust: listing.trust,
    status: listing.status,
    revocation_reason: null,
    serial_number: facts.serialNumber,
    subject: facts.subject,
    key_type: facts.keyType,
    spki_hash: facts.spkiHash,
    client_auth: facts.clientAuth ? 1 : 0,
    is_ca: facts.isCa ? 1 : 0,
    defect: defectOf(listing.der, { pinned: listing.trust === 'pinned' }),
    defect_grace: 0,
    not_before: facts.notBefore,
    not_after: facts.notAfter,
    grace_until: null,
    der: listing.der,
    issued_at: at,
    first_used_at: null,
    revoked_at: null,
  })
  if (listing.authenticator) await recordLineage(transaction, facts.fingerprint, listing.authenticator)
  const { attestation, deviceId } = listing
  if (attestation) await recordAttestation(transaction, attestation, { ...facts, deviceId }, at)
  await beginLife(transaction, facts, listing, before, at)
  if (listing.action !== 'certificate.register') {
    await completeIssuance(transaction, facts.serialNumber, facts.fingerprint)
  }
  await appendAudit(transaction, {
    at,
    actor,
    action: listing.action,
    target: facts.fingerprint,
    ...(listing.compromise === true ? { reason: 'keyCompromise' } : {}),
    detail: {
      deviceId: listing.deviceId,
      serialNumber: facts.serialNumber,
      trust: listing.trust,
      ...(listing.authenticator ? { authenticatedBy: listing.authenticator.fingerprint } : {}),
      ...(attestation ? { session: attestation.session } : {}),
    },
  })
  if (listing.early === true || (listing.early === 'if held' && held)) {
    const detail = { deviceId: listing.deviceId, authenticatedBy: listing.authenticator?.fingerprint ?? null }
    await appendAudit(transaction, {
      at,
      actor,
      action: 'certificate.rekey',
      target: facts.fingerprint,
      detail,
    })
  }
  if (issuerId !== null && listing.action === 'certificate.register')
    await revokeIfListed(transaction, { issuerId, serialNumber: facts.serialNumber }, actor, at)
  return facts.fingerprint
}

/** The certificates it comes beside. What does not admit, or not yet, takes no room. */
async function admittedBefore(
  transaction: Transaction<Schema>,
  { action, status, deviceId, authenticator }: Listing,
  actor: Actor,
  at: number,
): Promise<AdmissibleCertificate[]> {
  if (action === 'certificate.canary') return []
  if (status !== 'pending') {
    await lapseUnusedRenewal(transaction, deviceId, authenticator, actor, at)
    return assertRoom(transaction, deviceId, at)
  }
  await assertRoomToWait(transaction, deviceId)
  return admissibleCertificatesOf(transaction, deviceId, at)
}

async function assertRoomFor(
  transaction: Transaction<Schema>,
  { deviceId, approval = false, authenticator }: IssuanceIntent,
  actor: Actor,
  at: number,
): Promise<void> {
  if (await waitsForApproval(transaction, deviceId, approval, at))
    return assertRoomToWait(transaction, deviceId)
  await lapseUnusedRenewal(transaction, deviceId, authenticator, actor, at)
  await assertRoom(transaction, deviceId, at)
}

/** What time will do to it, and which certificate it is to follow. */
async function beginLife(
  transaction: Transaction<Schema>,
  facts: CertificateFacts,
  listing: Listing,
  before: AdmissibleCertificate[],
  at: number,
): Promise<void> {
  const { fingerprint } = facts
  if (listing.status === 'pending') {
    await setDeadline(transaction, fingerprint, 'forget', at + PENDING_KEPT_MS)
  } else if (facts.notAfter > at) {
    await setDeadline(transaction, fingerprint, 'expiring', renewalOpensAt(facts))
  }
  if (listing.provisional === true && listing.status === 'issued') {
    await setDeadline(transaction, fingerprint, 'lapse', at + PROVISIONAL_KEPT_MS)
  }
  const newest = before.at(-1)
  if (newest === undefined) return
  await transaction
    .insertInto('renewals')
    .values({ fingerprint, renews: newest.fingerprint, compromise: listing.compromise === true ? 1 : 0 })
    .execute()
  if (listing.status === 'issued' && listing.provisional !== true) {
    await setDeadline(transaction, fingerprint, 'lapse', at + RENEWAL_KEPT_MS)
  }
}

async function assertDeviceLives(transaction: Transaction<Schema>, deviceId: string): Promise<void> {
  const state = await stateOf(transaction, deviceId)
  if (state === 'decommissioned') {
    throw new Conflict('device_state_forbids', `device ${deviceId} is decommissioned: register a new device`)
  }
}

async function assertNew(
  transaction: Transaction<Schema>,
  fingerprint: string,
  issuerId: string | null,
  serialNumber: string,
): Promise<void> {
  const [twin] = await rowsOf<{ fingerprint: string }>(
    transaction,
    `SELECT fingerprint FROM certificates WHERE fingerprint = ?
     UNION ALL SELECT fingerprint FROM certificates WHERE issuer_id = ? AND serial_number = ?`,
    fingerprint,
    issuerId,
    serialNumber,
  )
  if (twin === undefined) return
  const what =
    twin.fingerprint === fingerprint
      ? 'this certificate'
      : 'a certificate of the same issuer and serial number'
  throw new Conflict('certificate_exists', `${what} is on the roll already (${twin.fingerprint})`)
}

async function completeIssuance(
  transaction: Transaction<Schema>,
  serialNumber: string,
  fingerprint: string,
): Promise<void> {
  const set = 'UPDATE issuances SET fingerprint = ? WHERE serial_number = ? AND fingerprint IS NULL'
  const completed = await run(transaction, set, fingerprint, serialNumber)
  if (completed !== 1) throw new Error(`no open issuance for serial number ${serialNumber}`)
}
