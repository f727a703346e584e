// Whether the certificate that a peer showed chains to an issuer on record. A signature that held once under these issuers
// holds for ever, so it is verified once for each certificate; whether it admits is another question, asked every time.
import type { X509Certificate } from 'node:crypto'
import { anchorsAmong, type ChainVerdict, type KnownIssuer, verifyUnder } from '../../../pki/chain.ts'

/** `fingerprint` is the certificate's own. */
export type VerifyChain = (certificate: X509Certificate, fingerprint: string) => ChainVerdict

/** Some 200 bytes each. */
const VERIFIED_REMEMBERED_MAX = 100_000

/** `issuers` are all that are on record, disabled ones too: their devices are told the real reason. */
export function createChainVerifier(
  issuers: ReadonlyMap<string, KnownIssuer>,
  rememberedMax = VERIFIED_REMEMBERED_MAX,
): VerifyChain {
  const anchors = anchorsAmong(issuers.values(), issuers)
  /** Those seen last at the end. What did not verify is not kept: anybody can show as many of them as they like. */
  const verified = new Set<string>()

  return (certificate, fingerprint) => {
    const known = verified.delete(fingerprint)
    const verdict = known ? 'verified' : verifyUnder(certificate, anchors)
    if (verdict !== 'verified') return verdict
    if (verified.size >= rememberedMax) verified.delete(verified.keys().next().value!)
    verified.add(fingerprint)
    return verdict
  }
}
