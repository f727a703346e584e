// The TLS that every listener of ours speaks: 1.3, and of 1.2 only suites with ephemeral keys and authenticated
// encryption. One profile, so that no listener falls back to Node's wider defaults.
import { createSecureContext } from 'node:tls'
import type { PqMode } from './key-policy.ts'

const ciphers = [
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

/**
 * Key exchange groups, the preferred first: a hybrid of X25519 and ML-KEM-768, which stays secret from an attacker that records it now and has a
 * quantum computer later. Without P-256 and P-384, TLS 1.2 clients whose certificate lies on them are refused.
 */
export const TLS_GROUPS = 'X25519MLKEM768:X25519:P-256:P-384'

/** Throws an Error where OpenSSL knows one of the groups not, or none is named. `groups` are separated by colons. */
export function assertTlsGroups(groups: string): void {
  try {
    if (groups === '') throw new Error('no group is named')
    createSecureContext({ ecdhCurve: groups })
  } catch (cause) {
    throw new Error(`${JSON.stringify(groups)} is no list of groups such as ${TLS_GROUPS}`, { cause })
  }
}

/** The order says what a server's own key signs with; a client is bound by its key. */
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
]
/** For TLS 1.3 alone (draft-ietf-tls-mldsa). */
const ML_DSA_SIGNATURES = ['mldsa65', 'mldsa44', 'mldsa87']

/** Signature schemes for `sigalgs`. A client whose key signs with none of them cannot authenticate. */
export function signatureSchemes(pq: PqMode): string {
  return [...SIGNATURES, ...(pq === 'off' ? [] : ML_DSA_SIGNATURES)].join(':')
}

/** Options for `tls.createServer`, `https.createServer` and `setSecureContext`. */
export const tlsProfile = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers,
  honorCipherOrder: true,
  ecdhCurve: TLS_GROUPS,
} as const
