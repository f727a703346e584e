// The signer of a CA: bytes in, an X.509 signature out, wherever the private key is.
// Refuses to know what is signed.
import { createPublicKey, type KeyObject, sign as signWith } from 'node:crypto'

/** How an ECDSA signature is written: as X.509 holds it, or as WebCrypto does. Other keys know one form only. */
export type SignatureForm = 'der' | 'ieee-p1363'

export type Signer = {
  publicKey: KeyObject
  algorithm: SignatureAlgorithm
  sign(bytes: Uint8Array, form?: SignatureForm): Promise<Buffer>
  /** The private key, where this process holds it itself. */
  key: KeyObject | null
}

/** `oid` as it stands in certificates; `hash` is null where the algorithm brings its own. */
type SignatureAlgorithm = {
  oid: string
  hash: 'sha256' | 'sha384' | null
  /** RFC 4055 wants NULL parameters, RFC 5758, 8410 and 9881 want none. */
  nullParameters: boolean
  /** The same in WebCrypto's words. */
  web: { name: string; hash: string; namedCurve?: string }
}

/** A signer on a private key in memory. The work is done off the event loop. */
export function signerOf(key: KeyObject): Signer {
  const publicKey = createPublicKey(key)
  const algorithm = signatureAlgorithmOf(publicKey)
  return {
    publicKey,
    algorithm,
    key,
    sign: (bytes, form = 'der') =>
      new Promise((resolve, reject) =>
        signWith(algorithm.hash, bytes, { key, dsaEncoding: form }, (error, signature) =>
          error === null ? resolve(signature) : reject(error),
        ),
      ),
  }
}

/** The algorithm that fits the strength of a key. Throws where a CA cannot have such a key. */
export function signatureAlgorithmOf(key: KeyObject): SignatureAlgorithm {
  const curve = key.asymmetricKeyDetails?.namedCurve
  const known = algorithms[curve ?? key.asymmetricKeyType ?? '']
  if (known === undefined) {
    const found = `${key.asymmetricKeyType} ${curve ?? ''}`.trim()
    throw new Error(`a CA key is ${found}: P-256, P-384, RSA, Ed25519 and ML-DSA are possible`)
  }
  return known
}

/** Signs the message itself, with an empty context (RFC 9881 §2). */
function mlDsa(oid: string, name: string): SignatureAlgorithm {
  return { oid, hash: null, nullParameters: false, web: { name, hash: 'SHA-512' } }
}

const algorithms: Record<string, SignatureAlgorithm> = {
  prime256v1: {
    oid: '1.2.840.10045.4.3.2',
    hash: 'sha256',
    nullParameters: false,
    web: { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' },
  },
  secp384r1: {
    oid: '1.2.840.10045.4.3.3',
    hash: 'sha384',
    nullParameters: false,
    web: { name: 'ECDSA', hash: 'SHA-384', namedCurve: 'P-384' },
  },
  rsa: {
    oid: '1.2.840.113549.1.1.11',
    hash: 'sha256',
    nullParameters: true,
    web: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  },
  ed25519: {
    oid: '1.3.101.112',
    hash: null,
    nullParameters: false,
    web: { name: 'Ed25519', hash: 'SHA-512' },
  },
  'ml-dsa-44': mlDsa('2.16.840.1.101.3.4.3.17', 'ML-DSA-44'),
  'ml-dsa-65': mlDsa('2.16.840.1.101.3.4.3.18', 'ML-DSA-65'),
  'ml-dsa-87': mlDsa('2.16.840.1.101.3.4.3.19', 'ML-DSA-87'),
}
