// Whether a certificate that somebody else issued may go on the roll for a device, chained or pinned.
// Names are compared here, once; afterwards the fingerprint alone decides.
import { X509Certificate } from 'node:crypto'
import { type Issuer, issuerLine, issuerNamed } from '../../db/issuers/issuer-store.ts'
import { certificateFacts, fingerprintOf, readOrThrow } from '../../pki/certificate-facts.ts'
import { findIssuer, isAnchored } from '../../pki/chain.ts'
import { coverageOf, covers } from '../../pki/distribution-points.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { validateLeaf } from '../../pki/leaf-policy.ts'
import { namesOf } from '../../pki/names.ts'
import { certificateBlocks, PEM_BYTES_MAX } from '../../pki/pem.ts'
import type { Fault } from '../http/problem.ts'
import { DEVICE_URN } from './certificate-names.ts'

type ForeignCertificate = {
  pem: string
  deviceId: string
  trust: 'chained' | 'pinned'
  issuers: Map<string, Issuer>
  /** Whether a name is the ID of a registered device. */
  isDevice: (id: string) => Promise<boolean>
  pq: PqMode
  now: number
}

export type ForeignVerdict =
  | { der: Buffer; issuerId: string | null }
  | { refused: 'certificate_invalid' | 'certificate_issued_here'; faults: Fault[] }

/** Judges everything a certificate says before it is listed. Never throws on bad input. */
export async function validateForeignCertificate(order: ForeignCertificate): Promise<ForeignVerdict> {
  const der = onlyCertificate(order.pem)
  if (typeof der === 'string') return invalid('certificate', der)
  const { pq } = order
  const faults = validateLeaf(der, { pinned: order.trust === 'pinned', acceptV1: true, pq })
  if (faults.length > 0) return { refused: 'certificate_invalid', faults }
  const leaf = new X509Certificate(der)
  const issuer = order.issuers.get(findIssuer(leaf, order.issuers.values())?.id ?? '') ?? null
  if (
    issuerNamed(fingerprintOf(der), order.issuers) !== undefined ||
    (issuer !== null && issuer.kind !== 'foreign')
  ) {
    return { refused: 'certificate_issued_here', faults: [] }
  }
  const { notAfter } = certificateFacts(leaf)
  if (notAfter < order.now) {
    return invalid('certificate.validity', `it expired at ${new Date(notAfter).toISOString()}`)
  }
  const misnamed = await foreignName(der, order)
  if (misnamed !== null) return invalid('certificate.subject', misnamed)
  if (order.trust === 'chained') return chained(der, issuer, order)
  // Pinned under a CA on record: bound to it, and so refused where the CA is.
  return withdrawn(issuer, order.issuers) ?? uncovered(der, issuer) ?? { der, issuerId: issuer?.id ?? null }
}

function chained(der: Buffer, issuer: Issuer | null, { issuers, now }: ForeignCertificate): ForeignVerdict {
  if (issuer === null || !isAnchored(issuer, issuers)) {
    return invalid(
      'certificate.issuer',
      'its issuer is not a trust anchor here: register the issuer, or the certificate with "trust": "pinned"',
    )
  }
  if (!issuer.acceptV1 && readOrThrow(der).version !== 3) {
    const todo = `pin it, or let the trust anchor take version 1: rollcall issuer profile ${issuer.id} --accept-v1 yes`
    return invalid('certificate.version', `it must be X.509 v3: ${todo}`)
  }
  const refused = withdrawn(issuer, issuers) ?? uncovered(der, issuer)
  if (refused !== null) return refused
  const expired = issuerLine(issuer.id, issuers).find(link => link.notAfter < now)
  if (expired !== undefined)
    return invalid('certificate.issuer', `the trust anchor ${expired.name} has expired`)
  return { der, issuerId: issuer.id }
}

/** If it were bound to this CA, the CRL in force would not cover it. */
function uncovered(der: Buffer, issuer: Issuer | null): ForeignVerdict | null {
  if (issuer === null || issuer.crlScope === '') return null
  const coverage = coverageOf(Buffer.from(issuer.crlScope, 'hex'))
  if (typeof coverage !== 'string' && covers(coverage, der)) return null
  return invalid(
    'certificate.crlDistributionPoints',
    `the CRL in force of ${issuer.name} is about other distribution points: import its complete CRL first`,
  )
}

function withdrawn(issuer: Issuer | null, issuers: Map<string, Issuer>): ForeignVerdict | null {
  for (const { name, enabled, revoked } of issuerLine(issuer?.id ?? null, issuers)) {
    if (!enabled) return invalid('certificate.issuer', `the trust anchor ${name} is disabled`)
    if (revoked)
      return invalid('certificate.issuer', `the trust anchor ${name} is revoked by the CA above it`)
  }
  return null
}

/** DER of the one certificate in a text, or what is wrong with the text. */
export function onlyCertificate(pem: string): Buffer | string {
  if (pem.includes('PRIVATE KEY')) return 'the text contains a private key: send the certificate alone'
  if (pem.length > PEM_BYTES_MAX) return `it is longer than ${PEM_BYTES_MAX} characters`
  const [der, ...more] = certificateBlocks(pem)
  if (der === undefined || more.length > 0) {
    return `it must hold exactly one whole PEM block BEGIN CERTIFICATE, it holds ${more.length + (der ? 1 : 0)}`
  }
  return der
}

/** What a certificate says about being another device, or null. Read from its structure, never from printed names. */
async function foreignName(der: Buffer, { deviceId, isDevice }: ForeignCertificate): Promise<string | null> {
  const { commonNames, sans } = namesOf(der)
  const urn = sans.find(san => san.type === 'url' && san.value.toLowerCase().startsWith(DEVICE_URN))
  if (urn !== undefined && urn.value !== `${DEVICE_URN}${deviceId}`) {
    return `its subjectAltName names the device ${JSON.stringify(urn.value.slice(DEVICE_URN.length))}`
  }
  const names = [...commonNames, ...sans.map(san => san.value)]
  for (const name of names) {
    if (name !== deviceId && (await isDevice(name))) return `it names the device ${JSON.stringify(name)}`
  }
  return null
}

function invalid(path: string, message: string): ForeignVerdict {
  return { refused: 'certificate_invalid', faults: [{ path, message }] }
}
