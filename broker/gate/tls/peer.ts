// The peer of a finished handshake: the fingerprint of the certificate whose key it proved to hold, or none.
// Never reads a name: subjects and SANs are no identity.
import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { onBun } from '../../../admin/runtime.ts'
import type { Peer } from '../../../admission/decide.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import type { VerifyChain } from './chain-verifier.ts'

/**
 * Identity of a connection, of a resumed one from the certificate that its session carries. What Node calls `authorized`
 * proves nothing: it says true of a resumed session without any certificate. OpenSSL is given no trust anchors, so the
 * chain is verified here alone, full and resumed handshakes alike, by the issuers on record now.
 */
export function identifyPeer(socket: TLSSocket, judgeChain: VerifyChain): Peer {
  const shown = certificateOf(socket)
  if (shown === null) return { fingerprint: null, chain: 'unknown' }
  const fingerprint = fingerprintOf(shown.der)
  return { fingerprint, chain: judgeChain(shown.read, fingerprint) }
}

/**
 * The certificate in the form that is cheapest to come by: on Node the parsed one, at a seventh of what the other form costs; on Bun,
 * which parses that out of the other form and does so for every certificate of the chain, the other form.
 */
function certificateOf(socket: TLSSocket): { der: Buffer; read: () => X509Certificate } | null {
  if (!onBun) {
    const certificate = socket.getPeerX509Certificate()
    return certificate === undefined ? null : { der: certificate.raw, read: () => certificate }
  }
  // Null where the connection is gone, an empty object where no certificate was shown.
  const der: Buffer | undefined = socket.getPeerCertificate(false)?.raw
  return der === undefined ? null : { der, read: () => new X509Certificate(der) }
}
