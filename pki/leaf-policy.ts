// Whether a certificate somebody else made may go on the roll at all. Judges the DER; knows no registry.
import { X509Certificate } from 'node:crypto'
import { extensionIds } from './certificate-extensions.ts'
import { certificateFacts } from './certificate-facts.ts'
import { type CertificateProblem, type ReadCertificate, readCertificate } from './certificate-reader.ts'
import { problemsOrUnreadable } from './foreign-bytes.ts'
import { keyTypeProblem, type PqMode } from './key-policy.ts'
import { nonconformanceOf } from './leaf-conformance.ts'
import { weaknessOfKey } from './weak-keys.ts'

type LeafProblem = CertificateProblem

/** `acceptV1` where the trust anchor lets X.509 v1 through (RFC 5280 §4.1.2.1: version 3 is for extensions alone). */
export type LeafOptions = { pinned: boolean; acceptV1?: boolean; pq?: PqMode }

const SERIAL_OCTETS_MAX = 20

/**
 * What forbids registering this certificate for a device; empty where nothing does (RFC 5280 §4.1, §4.2.1).
 * `pinned` permits the CA bit on a self-signed certificate, and version 1: it is trusted for itself alone. Never throws.
 */
export function validateLeaf(der: Buffer, options: LeafOptions): LeafProblem[] {
  const reading = readCertificate(der)
  if ('problem' in reading) return [reading.problem]
  return problemsOrUnreadable('certificate', () => leafFaults(der, reading.certificate, options))
}

function leafFaults(
  der: Buffer,
  certificate: ReadCertificate,
  { pinned, acceptV1 = pinned, pq }: LeafOptions,
): LeafProblem[] {
  const facts = certificateFacts(der)
  const faults: LeafProblem[] = []
  const fault = (part: string, message: string) => faults.push({ path: `certificate.${part}`, message })
  const selfSigned = certificate.subject.der.equals(certificate.issuer.der)

  if (certificate.version !== 3 && !(acceptV1 && isPlainV1(certificate))) {
    fault('version', 'it must be X.509 v3: pin it, or let the trust anchor accept version 1')
  }
  faults.push(...nonconformanceOf(certificate, { pinned }).map(one => one.fault))
  if (certificate.keyUsage?.has('keyCertSign') && !(pinned && selfSigned)) {
    fault('keyUsage', 'keyCertSign is for CAs')
  }
  if (!facts.clientAuth) fault('extendedKeyUsage', 'it must contain clientAuth')
  faults.push(...serialNumberProblems(certificate.serialNumber))
  faults.push(...nameFaults(certificate))
  const keyFault = keyTypeProblem(facts.keyType, pq) ?? weaknessOfKey(new X509Certificate(der).publicKey)
  if (keyFault !== null) fault('subjectPublicKeyInfo', keyFault)
  return faults
}

/** Of version 1 and without extensions, which only version 3 has (RFC 5280 §4.1.2.1). */
function isPlainV1({ version, extensions }: ReadCertificate): boolean {
  return version === 1 && extensions.length === 0
}

/**
 * A certificate without a subject is named by its subjectAltName alone, which then is critical (RFC 5280 §4.1.2.6). One without issuer
 * (§4.1.2.4) is self-signed, and trusted for its key.
 */
function nameFaults({ subject, issuer, subjectAltName, extensions }: ReadCertificate): LeafProblem[] {
  const path = 'certificate.subject'
  const faults: LeafProblem[] = []
  const critical = extensions.some(one => one.oid === extensionIds.subjectAltName && one.critical)
  if (subject.attributes.length === 0 && !critical) {
    faults.push({ path, message: 'an empty subject needs a critical subjectAltName' })
  }
  if (issuer.attributes.length === 0 && !subject.der.equals(issuer.der)) {
    faults.push({ path: 'certificate.issuer', message: 'it must not be empty' })
  }
  const names = [...subject.attributes, ...(subjectAltName ?? [])]
  if (names.some(({ value }) => value.includes('\0'))) {
    faults.push({ path, message: 'a name holds a NUL character' })
  }
  return faults
}

/** What is wrong with a serial number (RFC 5280 §4.1.2.2). */
export function serialNumberProblems(serialNumber: Buffer): LeafProblem[] {
  const path = 'certificate.serialNumber'
  const faults: LeafProblem[] = []
  if (serialNumber.every(octet => octet === 0)) faults.push({ path, message: 'it must not be zero' })
  if (serialNumber.length > SERIAL_OCTETS_MAX) faults.push({ path, message: 'it must be 20 octets or fewer' })
  return faults
}
