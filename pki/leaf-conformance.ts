// Where a certificate of a device departs from RFC 5280 so that it must not be relied on: asked when it is registered, and
// once of those that an older version let in. Pure.
import { extensionIds, extensionName } from './certificate-extensions.ts'
import { type CertificateProblem, type ReadCertificate, readCertificate } from './certificate-reader.ts'
import { weaknessOfSignature } from './signature-policy.ts'

/** In the words of `db/reason.ts`. The last two are about the CA above it. */
const leafDefects = [
  'certificate_unreadable',
  'certificate_is_ca',
  'certificate_extension_unknown',
  'certificate_key_usage_forbidden',
  'certificate_signature_weak',
  'issuer_constrained',
  'issuer_path_exceeded',
] as const
export type LeafDefect = (typeof leafDefects)[number]

/** What is understood where it is critical (RFC 5280 §4.2); anything else that is critical refuses. */
const understood = new Set<string>([
  extensionIds.basicConstraints,
  extensionIds.keyUsage,
  extensionIds.extendedKeyUsage,
  extensionIds.subjectAltName,
  extensionIds.certificatePolicies,
])

/** `pinned` certificates that are self-signed are trusted for their key alone, whatever they say of their right to sign. */
export function nonconformanceOf(
  certificate: ReadCertificate,
  { pinned }: { pinned: boolean },
): { defect: LeafDefect; fault: CertificateProblem }[] {
  const found: { defect: LeafDefect; fault: CertificateProblem }[] = []
  const add = (defect: LeafDefect, part: string, message: string) =>
    found.push({ defect, fault: { path: `certificate.${part}`, message: `${message} (${defect})` } })
  const alone = pinned && certificate.subject.der.equals(certificate.issuer.der)

  // However its key usage reads: a verifier that looks at basic constraints alone would take it for a CA (§4.2.1.9).
  if (certificate.basicConstraints?.isCa === true && !alone)
    add('certificate_is_ca', 'basicConstraints', 'CA must be FALSE: a device is an end entity')
  const strange = certificate.extensions.filter(({ critical, oid }) => critical && !understood.has(oid))
  for (const { oid } of strange)
    add(
      'certificate_extension_unknown',
      `extensions.${extensionName(oid)}`,
      `it is critical, and the extension ${oid} is not understood here`,
    )
  if (certificate.keyUsage !== null && !certificate.keyUsage.has('digitalSignature'))
    add('certificate_key_usage_forbidden', 'keyUsage', 'it must contain digitalSignature, which TLS asks for')
  const weakness = alone ? null : weaknessOfSignature(certificate.signatureAlgorithm)
  if (weakness !== null) add('certificate_signature_weak', 'signatureAlgorithm', weakness)
  return found
}

/** The first reason why a certificate on record does not hold; null where it does. Never throws. */
export function defectOf(der: Buffer, options: { pinned: boolean }): LeafDefect | null {
  const reading = readCertificate(der)
  if ('problem' in reading) return 'certificate_unreadable'
  return nonconformanceOf(reading.certificate, options)[0]?.defect ?? null
}
