// What a request for a certificate comes to: a key with its proof of possession, and the names that it asks for. From a CertTemplate with POPO, or from
// a PKCS #10 request. Decides nothing about devices.
import { comparableName, readName } from '../../pki/distinguished-name.ts'
import { toPem } from '../../pki/pem.ts'
import { readRequestNames } from '../../pki/request-reader.ts'
import { weaknessOfSignature } from '../../pki/signature-policy.ts'
import { type CsrReading, readCsr } from '../x509/csr.ts'
import { provenKey, readPublicKey, verifiesSimply, weaknessOf } from '../x509/proven-key.ts'
import { comparableNames, deviceNamedBy, namesOfCertificate } from '../x509/request-names.ts'
import { CmpFault } from './cmp-problems.ts'
import { readingPart } from './message-fields.ts'
import { type CertificateRequest, type Possession, readCertificateRequest } from './request-reader.ts'

export type RequestedCertificate = {
  reading: CsrReading
  /** DER; null where the request leaves it open. */
  subject: Buffer | null
  subjectAltNames: readonly Buffer[]
  old: CertificateRequest['old']
}

/** The request of ir, cr or kur. */
export function templateRequest(body: Buffer): RequestedCertificate {
  const { template, possession, old } = readCertificateRequest(body)
  const { spki, subjectAltNames } = template
  if (spki === null)
    throw new CmpFault(
      'badCertTemplate',
      'certTemplate: publicKey is missing: the device makes its key itself',
    )
  const subject = template.subject === null || isEmpty(template.subject) ? null : template.subject
  // That it can be read is found out here, once for all that look at it.
  readingPart('certTemplate.subject', () => subject !== null && readName(subject))
  return { reading: readingOf(spki, possession), subject, subjectAltNames, old }
}

/** The request of p10cr. */
export async function pkcs10Request(body: Buffer): Promise<RequestedCertificate> {
  const reading = await readCsr(toPem(body, 'CERTIFICATE REQUEST'))
  const { subject, subjectAltNames } = readingPart('p10cr', () => readRequestNames(body))
  return { reading, subject: isEmpty(subject.der) ? null : subject.der, subjectAltNames, old: null }
}

const isEmpty = (name: Buffer) => name.length === 2

function readingOf(spki: Buffer, possession: Possession): CsrReading {
  const key = readPublicKey(spki)
  if (key === null)
    throw new CmpFault('badCertTemplate', 'certTemplate: publicKey is no public key that can be read')
  const weakness = weaknessOf(key)
  if (weakness !== null) return refused('key_unacceptable', 'certTemplate.publicKey', weakness)
  if (possession.by !== 'signature') return refused('csr_invalid', 'popo', unproven[possession.by])
  const { algorithm, signed, signature } = possession
  const unsafe = weaknessOfSignature(algorithm)
  if (unsafe !== null) return refused('csr_invalid', 'popo', unsafe)
  const made = verifiesSimply(key, { oid: algorithm.oid, signed, signature })
  if (made === true) return { accepted: true, key: provenKey(key) }
  const message =
    made === null
      ? 'the signature algorithm is none that is accepted here'
      : 'the signature does not verify with the public key in the template'
  return refused('csr_invalid', 'popo', message)
}

const unproven: Readonly<Record<Exclude<Possession['by'], 'signature'>, string>> = {
  nothing: 'it is missing: sign the request with the key that it asks for',
  raVerified:
    'raVerified is the word of a registration authority, and this server takes none: sign the request with the key',
  'another way': 'only a signature over the whole request is taken',
}

function refused(reason: 'csr_invalid' | 'key_unacceptable', path: string, message: string): CsrReading {
  return { accepted: false, reason, faults: [{ path, message }] }
}

/** The device that the subject asks for where nothing else names one. */
export function deviceAskedForIn({ subject }: RequestedCertificate): string | null {
  return subject === null ? null : readingPart('certTemplate.subject', () => deviceNamedBy(readName(subject)))
}

/** The names that are asked for and are not those of the certificate. */
export function namesUnlike(
  { subject, subjectAltNames }: RequestedCertificate,
  certificate: Buffer,
): ('subject' | 'subjectAltName')[] {
  const held = namesOfCertificate(certificate)
  const asked = readingPart('certTemplate.subject', () => comparableNames(subject ?? EMPTY, subjectAltNames))
  return [
    ...(subject !== null && asked.subject !== held?.subject ? (['subject'] as const) : []),
    ...(subjectAltNames.length > 0 && asked.subjectAltName !== held?.subjectAltName
      ? (['subjectAltName'] as const)
      : []),
  ]
}

const EMPTY = Buffer.of(0x30, 0x00)

/** Whether an issuer and serial number are those of the certificate. */
export function isCertificate(
  { issuer, serialNumber }: { issuer: Buffer | null; serialNumber: Buffer | null },
  certificate: { issuer: { der: Buffer }; serialNumber: Buffer },
): boolean {
  if (issuer === null || serialNumber === null || !serialNumber.equals(certificate.serialNumber)) return false
  return readingPart('issuer', () => comparableName(issuer) === comparableName(certificate.issuer.der))
}
