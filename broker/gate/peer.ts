// Who is at the other end of a finished handshake: the DER of the certificate it proved to hold, or nobody.
// Never reads a name: printable subjects and SANs are no identity.
import type { TLSSocket } from 'node:tls'
import type { Peer } from '../../admission/decide.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { judgeChain, type KnownIssuer } from '../../pki/chain.ts'

/**
 * Identity of a connection, of a resumed one from the certificate that its session carries. `authorized` alone proves
 * nothing: on a session without any certificate Node says true when it is resumed, so it counts only beside a certificate.
 * Of a resumed session it repeats what the full handshake found; the context is replaced with the trust anchors, and no
 * session outlives its context. `issuers` are those the registry lists now, disabled ones too, so that their devices are told
 * the real reason.
 */
export function identifyPeer(socket: TLSSocket, issuers: ReadonlyMap<string, KnownIssuer>): Peer {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return { fingerprint: null, chain: 'unknown' }
  const fingerprint = fingerprintOf(certificate.raw)
  if (socket.authorized) return { fingerprint, chain: 'verified' }
  // What OpenSSL could not settle: clock skew, an issuer newer than its trust store.
  return { fingerprint, chain: judgeChain(certificate, issuers) }
}
