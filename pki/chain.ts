// Does a certificate verify to an issuer we know (RFC 5280 §6.1, reduced to what our issuers are)?
// Pure: takes the leaf and the known issuers, never looks anything up and never fetches.
import type { X509Certificate } from 'node:crypto'

/** An issuer's certificate as the registry knows it. Times are milliseconds since the epoch. */
export type KnownIssuer = {
  id: string
  parentId: string | null
  certificate: X509Certificate
  /** Those of the same name and key that it took the place of: a key identifier may name the serial number of one of them. */
  replaced?: readonly X509Certificate[]
  notBefore: number
  notAfter: number
}

/** How far a certificate's chain can be followed among the issuers on record. */
export type ChainVerdict = 'verified' | 'self_signed' | 'unknown'

const DEPTH_MAX = 4

/** Whether some known issuer signed the certificate and its own chain is known to the root. Doubt is `unknown`. */
export function verifyChain(
  certificate: X509Certificate,
  issuers: ReadonlyMap<string, KnownIssuer>,
): ChainVerdict {
  const signers = [...issuers.values()].filter(issuer => signed(issuer, certificate))
  return verifyUnder(certificate, anchorsAmong(signers, issuers))
}

/** Those of some issuers whose own chain is known to the root: for a check of many certificates. */
export function anchorsAmong(
  some: Iterable<KnownIssuer>,
  issuers: ReadonlyMap<string, KnownIssuer>,
): KnownIssuer[] {
  return [...some].filter(issuer => isAnchored(issuer, issuers))
}

/** Whether one of these anchors signed the certificate. Doubt is `unknown`. */
export function verifyUnder(certificate: X509Certificate, anchors: Iterable<KnownIssuer>): ChainVerdict {
  try {
    if (findIssuer(certificate, anchors) !== null) return 'verified'
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

/** Whether this issuer's own chain reaches a self-signed root among those known: each of its line signed the one below. */
export function isAnchored(issuer: KnownIssuer, issuers: ReadonlyMap<string, KnownIssuer>): boolean {
  let child = issuer
  for (let depth = 1; depth < DEPTH_MAX && child.parentId !== null; depth += 1) {
    const parent = issuers.get(child.parentId)
    if (parent === undefined || !signed(parent, child.certificate)) return false
    child = parent
  }
  return child.parentId === null
}

/** Whether its own key signed it. Node's `checkIssued` also wants the right to sign others, which no device needs. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.verify(certificate.publicKey)
}

/** Anything that cannot be compared was not signed by it. */
function signed({ certificate, replaced = [] }: KnownIssuer, child: X509Certificate): boolean {
  return signedWith(certificate, child) || replaced.some(former => signedWith(former, child))
}

function signedWith(certificate: X509Certificate, child: X509Certificate): boolean {
  try {
    return certificate.ca && child.checkIssued(certificate) && child.verify(certificate.publicKey)
  } catch {
    return false
  }
}
