// Whether a certificate is the IDevID of a manufacturer whose devices may enroll here, and which device
// it is: by its chain, its time and the manufacturer's template, never by what a request says.
import type { X509Certificate } from 'node:crypto'
import type { AnchorState, Idevid } from '../../db/enrollment/idevids.ts'
import { type Issuer, issuerLine } from '../../db/issuers/issuer-store.ts'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { findIssuer, isAnchored } from '../../pki/chain.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { validateLeaf } from '../../pki/leaf-policy.ts'
import { nameDevice } from '../anchors/name-template.ts'
import { BACKDATE_MS } from '../ca/profile.ts'

export type PresentedIdevid = {
  idevid: Idevid
  /** SHA-256 of its SubjectPublicKeyInfo, hex. */
  spkiHash: string
  deviceId: string
  group: string | null
  approval: boolean
}

/** Null where it is of no manufacturer that may enroll devices; the fault where it is, and cannot be used. */
export function validateIdevid(
  certificate: X509Certificate,
  parts: {
    issuers: Map<string, Issuer>
    anchorEnrollment: (issuerId: string) => AnchorState
    pq: PqMode
    now: number
  },
): PresentedIdevid | { fault: string } | null {
  const { issuers, now } = parts
  const issuer = issuers.get(findIssuer(certificate, issuers.values())?.id ?? '')
  if (issuer === undefined || issuer.kind !== 'foreign') return null
  const { mode, nameTemplate, group, proofFingerprint } = parts.anchorEnrollment(issuer.id)
  if (mode === 'off' || !isAnchored(issuer, issuers)) return null
  const line = issuerLine(issuer.id, issuers)
  if (line.some(({ enabled, revoked, notAfter }) => !enabled || revoked || notAfter < now)) {
    return { fault: 'its issuer is disabled, revoked or has expired' }
  }
  const { acceptV1 } = issuer
  const [unfit] = validateLeaf(certificate.raw, { pinned: false, acceptV1, pq: parts.pq })
  if (unfit !== undefined) return { fault: `${unfit.path}: ${unfit.message}` }
  const facts = certificateFacts(certificate)
  if (facts.notBefore - BACKDATE_MS > now || facts.notAfter < now) {
    return { fault: 'it is not valid now' }
  }
  if (proofFingerprint === facts.fingerprint) return { fault: 'it identifies no device' }
  const naming = nameDevice(nameTemplate, certificate.raw, facts.serialNumber)
  if ('fault' in naming) return naming
  const idevid = { fingerprint: facts.fingerprint, issuerId: issuer.id, serialNumber: facts.serialNumber }
  const { deviceId } = naming
  return { idevid, spkiHash: facts.spkiHash, deviceId, group, approval: mode === 'pending' }
}
