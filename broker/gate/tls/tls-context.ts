// The listener's TLS: server certificate and key from the data directory. It asks for a certificate and trusts none:
// certificates are verified by the issuers in the registry. Nothing here falls back to a wider default.

import { constants, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { SecureContextOptions } from 'node:tls'
import { validityIn } from '../../../pki/certificate-facts.ts'
import type { PqMode } from '../../../pki/key-policy.ts'
import { signatureSchemes, tlsProfile } from '../../../pki/tls-profile.ts'

export type TlsFiles = { certificate: string; key: string }

export type TlsSettings = { ticketLifetimeMs: number; tlsGroups: string; pq: PqMode }

/** Something that provisioning puts right when it starts: worth waiting for. */
export class NotPrepared extends Error {
  override readonly name = 'NotPrepared'
}

/**
 * What `tls.createServer` and `setSecureContext` both take. Throws where a file is missing, damaged or does not fit its key.
 * `ticketLifetimeMs` is how long a TLS session may be resumed; 0 for never.
 * `tlsGroups` are the key exchange groups, as OpenSSL lists them; `pq` off asks for no ML-DSA signature.
 */
export function readTlsContext(
  files: TlsFiles,
  { ticketLifetimeMs, tlsGroups, pq }: TlsSettings,
): SecureContextOptions {
  const certificate = readFileSync(files.certificate)
  if (validityIn(new X509Certificate(certificate)).notAfter <= Date.now())
    throw new NotPrepared(
      `the server certificate ${files.certificate} has expired: start provisioning, which renews it`,
    )
  return {
    cert: certificate,
    key: readFileSync(files.key),
    // None, and not Node's default, the public web's roots: see `identifyPeer`.
    ca: [],
    ...tlsProfile,
    ecdhCurve: tlsGroups,
    sigalgs: signatureSchemes(pq),
    ...(ticketLifetimeMs === 0 ? {} : { sessionTimeout: Math.ceil(ticketLifetimeMs / 1_000) }),
    secureOptions:
      constants.SSL_OP_NO_RENEGOTIATION |
      constants.SSL_OP_NO_COMPRESSION |
      // Stateful tickets without a store: no session can be resumed, so every connection proves its key anew.
      (ticketLifetimeMs === 0 ? constants.SSL_OP_NO_TICKET : 0),
  }
}

/** Changes whenever one of the files was replaced. */
export function tlsFilesVersion(files: TlsFiles): string {
  return [files.certificate, files.key]
    .map(file => statSync(file))
    .map(stat => `${stat.ino}:${stat.mtimeMs}:${stat.size}`)
    .join()
}
