// What is looked at before and after the CA signs: whether it can issue, whether the key may have a certificate, and whether
// what was signed is what was intended.
import { X509Certificate } from 'node:crypto'
import type { IssuanceIntent } from '../../db/issuance/certificate-writer.ts'
import { type Issuer, issuerLine } from '../../db/issuers/issuer-store.ts'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { keyTypeProblem, type PqMode } from '../../pki/key-policy.ts'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import type { Fault } from '../http/problem.ts'
import type { ProvenKey } from '../x509/proven-key.ts'

/** Refused by what was asked for; an outage and a conflict with the record are thrown instead. */
export type Refused = {
  refused:
    | 'csr_invalid'
    | 'key_unacceptable'
    | 'certificate_invalid'
    | 'certificate_issued_here'
    | 'ca_expired'
    | 'issuer_disabled'
    | 'public_key_compromised'
    | 'enrollment_rejected'
  faults: Fault[]
}

/** Why nothing can be issued at all now, or null. */
export function inability(ca: IssuingCa, issuers: Map<string, Issuer>, now: number): Refused | null {
  if (ca.notAfter <= now) return { refused: 'ca_expired', faults: [] }
  // What it signed now would be admitted nowhere.
  const disabled = issuerLine(ca.id, issuers).some(({ enabled }) => !enabled)
  return disabled ? { refused: 'issuer_disabled', faults: [] } : null
}

/** Why no certificate may be issued for this key, or null. */
export function unfitKey({ keyType }: ProvenKey, pq: PqMode): Refused | null {
  const message = keyTypeProblem(keyType, pq)
  if (message === null) return null
  return { refused: 'key_unacceptable', faults: [{ path: 'csr.subjectPublicKeyInfo', message }] }
}

/** A certificate that differs from its intent must never leave this process. */
export function assertAsIntended(
  der: Buffer,
  intent: Pick<IssuanceIntent, 'serialNumber' | 'spkiHash' | 'notBefore' | 'notAfter'>,
  names: { commonName: string; uri: string },
  ca: IssuingCa,
): void {
  const certificate = new X509Certificate(der)
  const facts = certificateFacts(certificate)
  const same =
    facts.serialNumber === intent.serialNumber &&
    facts.spkiHash === intent.spkiHash &&
    facts.notBefore === intent.notBefore &&
    facts.notAfter === intent.notAfter &&
    !facts.isCa &&
    certificate.subject === `CN=${names.commonName}` &&
    certificate.subjectAltName === `URI:${names.uri}` &&
    certificate.verify(ca.certificate.publicKey)
  if (!same)
    throw new Error(`what was signed for serial number ${intent.serialNumber} is not what was intended`)
}
