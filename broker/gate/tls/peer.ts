// The peer of a finished handshake: the fingerprint of the certificate whose key it proved to hold, or none.
// Never reads a name: subjects and SANs are no identity.
import type { TLSSocket } from 'node:tls'
import type { Peer } from '../../../admission/decide.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import type { VerifyChain } from './chain-verifier.ts'

/**
 * Identity of a connection, of a resumed one from the certificate that its session carries. What Node calls `authorized`
 * proves nothing: it says true of a resumed session without any certificate. OpenSSL is given no trust anchors, so the
 * chain is verified here alone, full and resumed handshakes alike, by the issuers on record now.
 */
export function identifyPeer(socket: TLSSocket, judgeChain: VerifyChain): Peer {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return { fingerprint: null, chain: 'unknown' }
  const fingerprint = fingerprintOf(certificate.raw)
  return { fingerprint, chain: judgeChain(certificate, fingerprint) }
}
