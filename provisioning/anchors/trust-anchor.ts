// Whether a CA of somebody else may become a trust anchor, and whether somebody proved to hold its key. Judges texts and
// clocks; writes nothing.
import { randomBytes, X509Certificate } from 'node:crypto'
import { type Issuer, issuerLine } from '../../db/issuers/issuer-store.ts'
import type { TrustAnchor } from '../../db/issuers/trust-anchors.ts'
import { exceedsPathLength, validateAnchor } from '../../pki/anchor-policy.ts'
import {
  type CertificateFacts,
  certificateFacts,
  fingerprintOf,
  readOrThrow,
} from '../../pki/certificate-facts.ts'
import { readCertificate } from '../../pki/certificate-reader.ts'
import { findIssuer } from '../../pki/chain.ts'
import { comparableName } from '../../pki/distinguished-name.ts'
import { coverageOf, covers, coversAll } from '../../pki/distribution-points.ts'
import { readOrNull } from '../../pki/foreign-bytes.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { namesOf } from '../../pki/names.ts'
import { weaknessOfSignature } from '../../pki/signature-policy.ts'
import type { Fault } from '../http/problem.ts'
import { onlyCertificate } from '../x509/foreign-certificate.ts'

/** `renews` is the anchor that this one replaces: it has the same name and key. */
type AnchorVerdict =
  | { der: Buffer; parentId: string | null; subject: string; renews: Issuer | null }
  | { refused: 'issuer_invalid' | 'issuer_exists' | 'issuer_own'; faults: Fault[] }
type ProofVerdict =
  | { nonce: string; fingerprint: string }
  | { refused: 'proof_invalid' | 'challenge_missing'; faults: Fault[] }

/** How long a CA has to sign the nonce. */
export const CHALLENGE_MS = 24 * 60 * 60_000
/** The most that fits a common name (RFC 5280 ub-common-name), 256 bits. */
export const newNonce = () => randomBytes(32).toString('hex')

/** Certificates above the issuer of a device that a look-up follows. */
const ABOVE_MAX = 2
const CLOCK_SKEW_MS = 5 * 60_000

/** `issuers` are those on record, among which a CA above it may be. Never throws on bad input. */
export function validateNewAnchor(
  pem: string,
  { issuers, pq, now }: { issuers: Map<string, Issuer>; pq: PqMode; now: number },
): AnchorVerdict {
  const der = onlyCertificate(pem)
  if (typeof der === 'string') return invalid('certificate', der)
  const faults = validateAnchor(der, now, pq)
  if (faults.length > 0) return { refused: 'issuer_invalid', faults }
  const certificate = new X509Certificate(der)
  const facts = certificateFacts(der)
  const renews = [...issuers.values()].find(issuer => isTwin(certificate, issuer)) ?? null
  const doubled = renews && doubles(facts, renews)
  if (doubled) return doubled
  const isBelow = ({ id }: Issuer) => issuerLine(id, issuers).some(link => link.id === renews?.id)
  const parent = findIssuer(
    certificate,
    [...issuers.values()].filter(issuer => !isBelow(issuer)),
  )
  const added = { id: renews?.id ?? facts.fingerprint, certificate, parentId: parent?.id ?? null }
  const fault = lineFault(added, issuers)
  if (fault !== null) return invalid('certificate.issuer', fault)
  const parentCrl = issuers.get(parent?.id ?? '')?.crlScope ?? ''
  const coverage = parentCrl === '' ? coversAll : coverageOf(Buffer.from(parentCrl, 'hex'))
  if (typeof coverage === 'string' || coverage.endEntitiesOnly || !covers(coverage, der)) {
    return invalid(
      'certificate.issuer',
      'the CRL in force of the CA above it tells nothing of CAs: import the complete one first',
    )
  }
  return { der, parentId: added.parentId, subject: facts.subject.replaceAll('\n', ', '), renews }
}

/** Why a certificate does not renew a CA of its name and key; null where it does. */
function doubles({ fingerprint, notAfter }: CertificateFacts, known: Issuer): AnchorVerdict | null {
  const named = `${known.name} (${known.id}) has this name and key`
  const refuse = (refused: 'issuer_exists' | 'issuer_own', message: string) => ({
    refused,
    faults: [{ path: 'certificate', message }],
  })
  if (known.kind !== 'foreign') return refuse('issuer_own', `${named} and is registered already`)
  if (fingerprintOf(known.certificate.raw) === fingerprint)
    return refuse('issuer_exists', `${named} and is registered already`)
  if (notAfter > known.notAfter) return null
  const ends = `it ends at ${new Date(notAfter).toISOString()}, that one at ${new Date(known.notAfter).toISOString()}`
  return refuse('issuer_exists', `${named}, and a renewed certificate must end later: ${ends}`)
}

type Link = Pick<Issuer, 'id' | 'certificate' | 'parentId'>

/** What forbids a CA, with those above it, to stand above those below it; null where nothing does. */
function lineFault(added: Link, issuers: ReadonlyMap<string, Issuer>): string | null {
  const future = new Map<string, Link>(issuers).set(added.id, added)
  for (const id of future.keys()) {
    const line = issuerLine(id, future)
    if (!line.includes(added)) continue
    if (line.length - 1 > ABOVE_MAX)
      return `more than ${ABOVE_MAX} registered CAs stand in one line above another`
    if (exceedsPathLength(line.map(({ certificate }) => readOrThrow(certificate.raw))))
      return id === added.id
        ? 'a CA above it permits no further CA below (pathLenConstraint)'
        : 'it permits fewer CAs below than are registered (pathLenConstraint)'
  }
  return null
}

/** Whether this certificate is what the open challenge asked the CA to sign. */
export function validateProof(
  pem: string,
  { issuer, anchor, now }: { issuer: Issuer; anchor: TrustAnchor; now: number },
): ProofVerdict {
  const { challenge } = anchor
  if (challenge === null || challenge.expiresAt <= now) {
    const message = challenge === null ? 'no challenge is open' : 'the challenge is not open any more'
    return { refused: 'challenge_missing', faults: [{ path: 'certificate', message }] }
  }
  const der = onlyCertificate(pem)
  if (typeof der === 'string') return unproven('certificate', der)
  const read = parsed(der)
  if (read === null) return unproven('certificate', 'it is not a DER-encoded X.509 certificate')
  const { certificate, commonNames, facts, algorithm } = read
  const weakness = weaknessOfSignature(algorithm)
  if (weakness !== null) return unproven('certificate.signatureAlgorithm', weakness)
  const [name, ...more] = commonNames
  if (more.length > 0 || name !== challenge.nonce) {
    return unproven('certificate.subject', 'its only common name must be the nonce of the open challenge')
  }
  if (findIssuer(certificate, [issuer]) === null) {
    return unproven('certificate.signature', `it is not signed by ${issuer.name}`)
  }
  const { notBefore, notAfter } = facts
  if (notBefore - CLOCK_SKEW_MS > now || notAfter < now) {
    return unproven('certificate.validity', 'it is not valid now')
  }
  return { nonce: challenge.nonce, fingerprint: fingerprintOf(der) }
}

function parsed(der: Buffer) {
  return readOrNull(() => ({
    certificate: new X509Certificate(der),
    commonNames: namesOf(der).commonNames,
    facts: certificateFacts(der),
    algorithm: readOrThrow(der).signatureAlgorithm,
  }))
}

/** A CA under the same name with the same key: a chain would lead to either. */
function isTwin(certificate: X509Certificate, { certificate: known }: Issuer): boolean {
  return known.publicKey.equals(certificate.publicKey) && subjectOf(known) === subjectOf(certificate)
}

/** As names are compared, whatever is printed of them; null where it cannot be read. */
function subjectOf({ raw }: X509Certificate): string | null {
  const reading = readCertificate(raw)
  return 'problem' in reading ? null : comparableName(reading.certificate.subject.der)
}

function invalid(path: string, message: string): AnchorVerdict {
  return { refused: 'issuer_invalid', faults: [{ path, message }] }
}

function unproven(path: string, message: string): ProofVerdict {
  return { refused: 'proof_invalid', faults: [{ path, message }] }
}
