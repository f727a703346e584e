// Whether the certificate of a peer chains to an issuer in the registry. A signature stays valid under the same issuers, so it is
// verified once for each certificate. Admission is decided elsewhere, on every connection.
import type { X509Certificate } from 'node:crypto'
import { anchorsAmong, type ChainVerdict, type KnownIssuer, verifyUnder } from '../../../pki/chain.ts'

/** `fingerprint` is the certificate's own; `read` parses it, where its signature has to be verified. */
export type VerifyChain = (read: () => X509Certificate, fingerprint: string) => ChainVerdict

/** Some 200 bytes each. */
const VERIFIED_REMEMBERED_MAX = 100_000

/** `issuers`: all in the registry, disabled ones too, so that their devices get the true reason. */
export function createChainVerifier(
  issuers: ReadonlyMap<string, KnownIssuer>,
  rememberedMax = VERIFIED_REMEMBERED_MAX,
): VerifyChain {
  const anchors = anchorsAmong(issuers.values(), issuers)
  /** In order of use, the latest last. Certificates that do not verify are not kept: a stranger can make any number of them. */
  const verified = new Set<string>()

  return (read, fingerprint) => {
    const known = verified.delete(fingerprint)
    const verdict = known ? 'verified' : verifyUnder(read(), anchors)
    if (verdict !== 'verified') return verdict
    if (verified.size >= rememberedMax) verified.delete(verified.keys().next().value!)
    verified.add(fingerprint)
    return verdict
  }
}
