// The listener's TLS: server certificate and key from the data directory, trust anchors from the registry.
// TLS 1.3 and ECDHE-AEAD suites of 1.2 only; nothing here falls back to a wider default.
import { constants, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { SecureContextOptions } from 'node:tls'
import type { KnownIssuer } from '../../pki/chain.ts'
import { toPem } from '../../pki/pem.ts'

export type TlsFiles = { certificate: string; key: string }

const CIPHERS = [
  'TLS_AES_128_GCM_SHA256', // first: 5 % cheaper per handshake than AES-256
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

const SIGNATURES = [
  'ecdsa_secp256r1_sha256',
  'ed25519',
  'ecdsa_secp384r1_sha384',
  'rsa_pss_rsae_sha256',
  'rsa_pss_rsae_sha384',
  'rsa_pss_rsae_sha512',
  'rsa_pkcs1_sha256',
  'rsa_pkcs1_sha384',
  'rsa_pkcs1_sha512',
].join(':')

/** What `tls.createServer` and `setSecureContext` both take. Throws where a file is missing, damaged or does not fit its key. */
export function readTlsContext(files: TlsFiles, issuers: Iterable<KnownIssuer>): SecureContextOptions {
  const ca = [...issuers].map(issuer => toPem(issuer.certificate.raw, 'CERTIFICATE'))
  // Without `ca` Node would trust the public web's roots.
  if (ca.length === 0) throw new Error('the registry lists no issuer: no device could be admitted')
  const certificate = readFileSync(files.certificate)
  const leaf = new X509Certificate(certificate)
  if (Date.parse(leaf.validTo) <= Date.now())
    throw new Error(`the server certificate ${files.certificate} has expired`)
  return {
    cert: certificate,
    key: readFileSync(files.key),
    ca,
    // Every issuer on record is an anchor of its own: the signature of the root on the issuing CA was verified when it
    // was registered, and whether both are enabled and valid is asked on every connection.
    allowPartialTrustChain: true,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    sigalgs: SIGNATURES,
    // X25519 alone refuses TLS 1.2 clients whose certificate lies on P-256 or P-384.
    ecdhCurve: 'X25519:P-256:P-384',
    honorCipherOrder: true,
    // Stateful tickets without a store: no session can be resumed, so every connection proves its key anew.
    secureOptions:
      constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  }
}

/** Changes whenever one of the files was replaced. */
export function tlsFilesVersion(files: TlsFiles): string {
  return [files.certificate, files.key]
    .map(file => statSync(file))
    .map(stat => `${stat.ino}:${stat.mtimeMs}:${stat.size}`)
    .join()
}
