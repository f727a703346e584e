// The facts Rollcall reads from an X.509 certificate, taken from its DER and nothing else.
// Knows no registry and no policy: it reports, others judge.
import { hash, type KeyObject, X509Certificate } from 'node:crypto'

/** What a certificate says of itself. Times are milliseconds since the epoch. */
export type CertificateFacts = {
  /** SHA-256 of the DER, lowercase hex. */
  fingerprint: string
  /** SHA-256 of the SubjectPublicKeyInfo, lowercase hex. */
  spkiHash: string
  /** Lowercase hex without separators or leading zero octets. */
  serialNumber: string
  subject: string
  issuer: string
  notBefore: number
  notAfter: number
  /** `p256`, `p384`, `ed25519`, `rsa2048` …; `other:<what>` where no name fits. */
  keyType: string
  /** Whether extended key usage permits clientAuth; absent usage permits (RFC 5280 §4.2.1.12). */
  clientAuth: boolean
  isCa: boolean
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_USAGE = '2.5.29.37.0'
const CURVE_NAMES: Record<string, string> = { prime256v1: 'p256', secp384r1: 'p384' }

/** Who issues reads what was signed, and who lists it reads it again: the same bytes have the same facts. */
const REMEMBERED_MAX = 256
const remembered = new Map<string, Readonly<CertificateFacts>>()

/** Reads the facts from DER or PEM. Throws where the bytes are no certificate. */
export function certificateFacts(input: Buffer | string | X509Certificate): Readonly<CertificateFacts> {
  const known = Buffer.isBuffer(input) ? remembered.get(fingerprintOf(input)) : undefined
  if (known !== undefined) return known
  const x509 = input instanceof X509Certificate ? input : new X509Certificate(input)
  const facts = Object.freeze(factsOf(x509))
  if (remembered.size >= REMEMBERED_MAX) remembered.clear()
  remembered.set(facts.fingerprint, facts)
  return facts
}

function factsOf(x509: X509Certificate): CertificateFacts {
  const usages = x509.keyUsage as string[] | undefined
  return {
    fingerprint: fingerprintOf(x509.raw),
    spkiHash: spkiHashOf(x509.publicKey),
    serialNumber: x509.serialNumber.toLowerCase().replace(/^(00)+(?=..)/, ''),
    subject: x509.subject,
    issuer: x509.issuer,
    notBefore: Date.parse(x509.validFrom),
    notAfter: Date.parse(x509.validTo),
    keyType: keyTypeOf(x509.publicKey),
    clientAuth: usages === undefined || usages.includes(CLIENT_AUTH) || usages.includes(ANY_USAGE),
    isCa: x509.ca,
  }
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
    case 'ed25519':
      return 'ed25519'
    case 'rsa':
      return `rsa${details?.modulusLength ?? 0}`
    default:
      return `other:${key.asymmetricKeyType ?? 'unknown'}`
  }
}
