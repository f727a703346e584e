// Signature algorithms of certificates, CSRs and CRLs by their OID: the kind of key that each needs, and its hash.

/** `keyType` as Node's `asymmetricKeyType` names it; `hash` is null where the algorithm brings its own. */
type SignatureNeeds = { keyType: string; hash: 'sha256' | 'sha384' | 'sha512' | null }

/** Those without parameters of their own that are accepted (RFC 8017, RFC 5758, RFC 8410, RFC 9881). */
export const signatureAlgorithms: ReadonlyMap<string, SignatureNeeds> = new Map<string, SignatureNeeds>([
  ['1.2.840.113549.1.1.11', { keyType: 'rsa', hash: 'sha256' }],
  ['1.2.840.113549.1.1.12', { keyType: 'rsa', hash: 'sha384' }],
  ['1.2.840.113549.1.1.13', { keyType: 'rsa', hash: 'sha512' }],
  ['1.2.840.10045.4.3.2', { keyType: 'ec', hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { keyType: 'ec', hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { keyType: 'ec', hash: 'sha512' }],
  ['1.3.101.112', { keyType: 'ed25519', hash: null }],
  ['2.16.840.1.101.3.4.3.17', { keyType: 'ml-dsa-44', hash: null }],
  ['2.16.840.1.101.3.4.3.18', { keyType: 'ml-dsa-65', hash: null }],
  ['2.16.840.1.101.3.4.3.19', { keyType: 'ml-dsa-87', hash: null }],
])
