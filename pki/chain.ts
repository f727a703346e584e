// Does a certificate verify to an issuer we know (RFC 5280 §6.1, reduced to what our issuers are)?
// Pure: takes the leaf and the known issuers, never looks anything up and never fetches.
import type { X509Certificate } from 'node:crypto'

/** An issuer's certificate as the registry knows it. Times are milliseconds since the epoch. */
export type KnownIssuer = {
  id: string
  parentId: string | null
  certificate: X509Certificate
  notBefore: number
  notAfter: number
}

/** How far a certificate's chain can be followed among the issuers on record. */
export type ChainVerdict = 'verified' | 'self_signed' | 'unknown'

const DEPTH_MAX = 4

/** Whether some known issuer signed the certificate and its own chain is known to the root. Doubt is `unknown`. */
export function judgeChain(
  certificate: X509Certificate,
  issuers: ReadonlyMap<string, KnownIssuer>,
): ChainVerdict {
  try {
    const issuer = findIssuer(certificate, issuers.values())
    if (issuer !== null && verifiesUnder(certificate, issuer.id, issuers)) return 'verified'
    return isSelfSigned(certificate) ? 'self_signed' : 'unknown'
  } catch {
    return 'unknown'
  }
}

/**
 * The id of the issuer that signed this leaf, or null where none of them did.
 * The issuer must be a CA, must carry the name, and its key must verify the signature.
 */
export function findIssuer(leaf: X509Certificate, issuers: Iterable<KnownIssuer>): KnownIssuer | null {
  for (const issuer of issuers) {
    if (signed(issuer, leaf)) return issuer
  }
  return null
}

/** Whether a leaf verifies under this issuer and the issuer's own chain reaches a self-signed root among them. */
export function verifiesUnder(
  leaf: X509Certificate,
  issuerId: string,
  issuers: ReadonlyMap<string, KnownIssuer>,
): boolean {
  let child = leaf
  let id: string | null = issuerId
  for (let depth = 0; depth < DEPTH_MAX && id !== null; depth += 1) {
    const issuer = issuers.get(id)
    if (issuer === undefined || !signed(issuer, child)) return false
    child = issuer.certificate
    id = issuer.parentId
  }
  return id === null
}

/** Whether its own key signed it. Node's `checkIssued` also wants the right to sign others, which no device needs. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.verify(certificate.publicKey)
}

function signed(issuer: KnownIssuer, child: X509Certificate): boolean {
  return (
    issuer.certificate.ca &&
    child.checkIssued(issuer.certificate) &&
    child.verify(issuer.certificate.publicKey)
  )
}
