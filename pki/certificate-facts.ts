// The facts Rollcall reads from an X.509 certificate, taken from its DER and nothing else.
// Knows no registry and no policy: it reports, others judge.
import { hash, type KeyObject, X509Certificate } from 'node:crypto'
import { type CertificateProblem, type ReadCertificate, readCertificate } from './certificate-reader.ts'
import type { GeneralName } from './general-names.ts'

/** What a certificate says of itself. Times are milliseconds since the epoch. */
export type CertificateFacts = {
  /** SHA-256 of the DER, lowercase hex. */
  fingerprint: string
  /** SHA-256 of the SubjectPublicKeyInfo, lowercase hex. */
  spkiHash: string
  /** Lowercase hex without separators or leading zero octets. */
  serialNumber: string
  /** As Node prints it; where the subject is empty, the subjectAltName in the same form (RFC 5280 §4.1.2.6). */
  subject: string
  issuer: string
  notBefore: number
  notAfter: number
  /** `p256`, `p384`, `ed25519`, `rsa2048`, `ml-dsa-65` …; `other:<what>` where no name fits. */
  keyType: string
  /** Whether extended key usage permits clientAuth; absent usage permits (RFC 5280 §4.2.1.12). */
  clientAuth: boolean
  /** As its basic constraints say, however its key usage reads. */
  isCa: boolean
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_USAGE = '2.5.29.37.0'
const CURVE_NAMES: Record<string, string> = { prime256v1: 'p256', secp384r1: 'p384', secp521r1: 'p521' }

/** Their name says all: Edwards curves (RFC 8410), ML-DSA (RFC 9881), SLH-DSA (RFC 9909). */
const NAMED_KEYS = /^(ed25519|ed448|(ml|slh)-dsa-[a-z0-9-]+)$/

/** Validating reads a certificate, and listing reads it again, up to a few hundred rows of an import later: the same bytes have the same facts. */
const REMEMBERED_MAX = 1_024
const ofObjects = new WeakMap<X509Certificate, Readonly<CertificateFacts>>()
const remembered = new Map<string, Readonly<CertificateFacts>>()

/** Bytes that are no certificate, or one in which something cannot be read. */
export class CertificateUnreadable extends Error {
  override readonly name = 'CertificateUnreadable'
  readonly problem: CertificateProblem

  constructor(fault: CertificateProblem) {
    super(`${fault.path}: ${fault.message}`)
    this.problem = fault
  }
}

/** Reads the facts from DER or PEM. Throws a `CertificateUnreadable` where something in them cannot be read. */
export function certificateFacts(input: Buffer | string | X509Certificate): Readonly<CertificateFacts> {
  if (input instanceof X509Certificate) {
    const facts = ofObjects.get(input) ?? factsOfBytes(input.raw, () => input)
    ofObjects.set(input, facts)
    return facts
  }
  if (Buffer.isBuffer(input)) return factsOfBytes(input, () => parsed(input))
  const x509 = openSslReads(input)
  return factsOfBytes(x509.raw, () => x509)
}

function factsOfBytes(der: Buffer, read: () => X509Certificate): Readonly<CertificateFacts> {
  const fingerprint = fingerprintOf(der)
  const known = remembered.get(fingerprint)
  if (known !== undefined) return known
  const facts = Object.freeze(factsOf(read(), fingerprint))
  if (remembered.size >= REMEMBERED_MAX) remembered.clear()
  remembered.set(fingerprint, facts)
  return facts
}

/** What a certificate says. Throws a `CertificateUnreadable`. */
export function readOrThrow(der: Buffer): ReadCertificate {
  const reading = readCertificate(der)
  if ('problem' in reading) throw new CertificateUnreadable(reading.problem)
  return reading.certificate
}

/** When a certificate holds. Throws a `CertificateUnreadable`. */
export function validityIn(certificate: X509Certificate): { notBefore: number; notAfter: number } {
  const { notBefore, notAfter } = certificateFacts(certificate)
  return { notBefore, notAfter }
}

/** What OpenSSL read and what was given must be the same bytes. */
function parsed(input: Buffer): X509Certificate {
  const x509 = openSslReads(input)
  if (!x509.raw.equals(input)) throw unreadable
  return x509
}

function openSslReads(input: Buffer | string): X509Certificate {
  try {
    return new X509Certificate(input)
  } catch {
    throw unreadable
  }
}

const unreadable = new CertificateUnreadable({
  path: 'certificate',
  message: 'it is not a DER-encoded X.509 certificate',
})

function factsOf(x509: X509Certificate, fingerprint: string): CertificateFacts {
  const certificate = readOrThrow(x509.raw)
  const usages = certificate.extendedKeyUsage
  const publicKey = publicKeyOf(x509)
  return {
    fingerprint,
    spkiHash: spkiHashOf(publicKey),
    serialNumber: x509.serialNumber.toLowerCase().replace(/^(00)+(?=..)/, ''),
    subject: (x509.subject as string | undefined) ?? printedNames(certificate.subjectAltName ?? []),
    issuer: (x509.issuer as string | undefined) ?? '',
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    keyType: keyTypeOf(publicKey),
    clientAuth: usages === null || usages.includes(CLIENT_AUTH) || usages.includes(ANY_USAGE),
    isCa: certificate.basicConstraints?.isCa === true,
  }
}

/** OpenSSL cannot read every key: of a curve that it does not know, for one. */
function publicKeyOf(x509: X509Certificate): KeyObject {
  try {
    return x509.publicKey
  } catch {
    const message = 'it holds no public key that can be read'
    throw new CertificateUnreadable({ path: 'certificate.subjectPublicKeyInfo', message })
  }
}

/** A line for each name, as Node prints subjects. */
function printedNames(names: readonly GeneralName[]): string {
  return names.map(({ type, value }) => `subjectAltName=${type}:${value}`).join('\n')
}

/** The registry's key for a certificate: SHA-256 of its DER, lowercase hex. */
export function fingerprintOf(der: Buffer): string {
  return sha256Hex(der)
}

/** Whether a string has the form of a fingerprint. */
export function isFingerprint(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text)
}

/** What names a public key whatever certificate or CSR holds it: SHA-256 of its SubjectPublicKeyInfo. */
export function spkiHashOf(key: KeyObject): string {
  return sha256Hex(key.export({ type: 'spki', format: 'der' }))
}

function sha256Hex(bytes: Buffer): string {
  return hash('sha256', bytes, 'hex')
}

/** The kind of a public key, in the words of `CertificateFacts.keyType`. */
export function keyTypeOf(key: KeyObject): string {
  const details = key.asymmetricKeyDetails
  switch (key.asymmetricKeyType) {
    case 'ec':
      return CURVE_NAMES[details?.namedCurve ?? ''] ?? `other:${details?.namedCurve ?? 'ec'}`
    case 'rsa':
      return `rsa${details?.modulusLength ?? 0}`
    default:
      return NAMED_KEYS.test(key.asymmetricKeyType ?? '')
        ? `${key.asymmetricKeyType}`
        : `other:${key.asymmetricKeyType ?? 'unknown'}`
  }
}
