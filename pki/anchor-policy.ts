// Whether a CA certificate of somebody else may become a trust anchor. Judges the DER and the clock; knows no registry.
import { X509Certificate } from 'node:crypto'
import { extensionIds } from './certificate-extensions.ts'
import { certificateFacts } from './certificate-facts.ts'
import { type CertificateProblem, type ReadCertificate, readCertificate } from './certificate-reader.ts'
import { isSelfSigned } from './chain.ts'
import { problemsOrUnreadable } from './foreign-bytes.ts'
import { keyTypeProblem, type PqMode } from './key-policy.ts'
import { serialNumberProblems } from './leaf-policy.ts'
import { weaknessOfKey } from './weak-keys.ts'

const CLOCK_SKEW_MS = 5 * 60_000
/** What we understand where it is critical. */
const understood = new Set<string>([
  extensionIds.basicConstraints,
  extensionIds.keyUsage,
  extensionIds.certificatePolicies,
  extensionIds.extendedKeyUsage,
])
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_USAGE = '2.5.29.37.0'

/**
 * What forbids trusting this CA; empty where nothing does (RFC 5280 §4.2.1.3, §4.2.1.9, §6.1). `now` in ms. Never throws.
 */
export function validateAnchor(der: Buffer, now: number, pq?: PqMode): CertificateProblem[] {
  const reading = readCertificate(der)
  if ('problem' in reading) return [reading.problem]
  return problemsOrUnreadable('certificate', () => anchorFaults(der, reading.certificate, now, pq))
}

function anchorFaults(
  der: Buffer,
  certificate: ReadCertificate,
  now: number,
  pq?: PqMode,
): CertificateProblem[] {
  const facts = certificateFacts(der)
  const node = new X509Certificate(der)
  const faults: CertificateProblem[] = serialNumberProblems(certificate.serialNumber)
  const fault = (path: string, message: string) => faults.push({ path: `certificate.${path}`, message })

  if (certificate.version !== 3) fault('version', 'it must be X.509 v3')
  if (!facts.isCa) fault('basicConstraints', 'CA must be TRUE: a trust anchor signs others')
  // RFC 5280 §6.1.4 (n): where the extension is there.
  if (certificate.keyUsage !== null && !certificate.keyUsage.has('keyCertSign'))
    fault('keyUsage', 'it must contain keyCertSign, or not be there')
  const purposes = certificate.extendedKeyUsage
  if (purposes && !purposes.includes(CLIENT_AUTH) && !purposes.includes(ANY_USAGE)) {
    fault('extendedKeyUsage', 'it must permit clientAuth, or say nothing')
  }
  const strange = certificate.extensions.find(({ critical, oid }) => critical && !understood.has(oid))
  if (isConstrained(certificate))
    fault('extensions.nameConstraints', 'name constraints are not enforced here, critical or not')
  else if (strange) fault('extensions', `the critical extension ${strange.oid} is not enforced here`)
  if (certificate.subject.attributes.length === 0) fault('subject', 'it must not be empty')
  if (certificate.subject.attributes.some(({ value }) => value.includes('\0'))) {
    fault('subject', 'a name holds a NUL character')
  }
  const keyFault = keyTypeProblem(facts.keyType, pq) ?? weaknessOfKey(node.publicKey)
  if (keyFault !== null) fault('subjectPublicKeyInfo', keyFault)
  if (certificate.subject.der.equals(certificate.issuer.der) && !isSelfSigned(node)) {
    fault('signature', 'it names itself as issuer, and its key did not sign it')
  }
  if (facts.notAfter < now) fault('validity', `it expired at ${new Date(facts.notAfter).toISOString()}`)
  if (facts.notBefore - CLOCK_SKEW_MS > now) {
    fault('validity', `it is not valid before ${new Date(facts.notBefore).toISOString()}`)
  }
  return faults
}

/**
 * Whether it holds only for some names (RFC 5280 §4.2.1.10). A chain is followed here without looking at them, so trusting such a
 * CA would trust more than its certifier meant.
 */
export function isConstrained({ extensions }: ReadCertificate): boolean {
  return extensions.some(({ oid }) => oid === extensionIds.nameConstraints)
}

/**
 * Whether the line of CAs above a device is longer than one of them permits (RFC 5280 §4.2.1.9). `line` begins with the CA that
 * signs devices; a CA that issued itself does not count.
 */
export function exceedsPathLength(line: readonly ReadCertificate[]): boolean {
  let below = 0
  for (const { basicConstraints, subject, issuer } of line) {
    const most = basicConstraints?.pathLength ?? Number.POSITIVE_INFINITY
    if (below > most) return true
    if (!subject.der.equals(issuer.der)) below += 1
  }
  return false
}
