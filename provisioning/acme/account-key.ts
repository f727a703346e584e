// The public key of an ACME account: read from the JWK of a request, judged as keys of devices are, and named by the hash of its SubjectPublicKeyInfo.
import { createPublicKey, type KeyObject } from 'node:crypto'
import { keyTypeOf } from '../../pki/certificate-facts.ts'
import { provenKey, weaknessOf } from '../x509/proven-key.ts'
import { acmeFault } from './acme-problems.ts'

/** `spki` is DER, `spkiHash` its SHA-256 in hex. */
export type AccountKey = { key: KeyObject; spki: Buffer; spkiHash: string }

/** The members of a JWK that a public key has (RFC 7518 §6, RFC 8037 §2). */
const members: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'x', 'y'],
  RSA: ['n', 'e'],
  OKP: ['crv', 'x'],
}
/** Those of a secret, which is given away by sending it. */
const secrets = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/** Throws `acme_key_refused` where it is none that an account may have. */
export function readAccountKey(jwk: unknown): AccountKey {
  const refused = (detail: string) => acmeFault('acme_key_refused', `jwk: ${detail}`)
  if (typeof jwk !== 'object' || jwk === null) throw refused('it is no JSON Web Key')
  const given = jwk as Record<string, unknown>
  if (secrets.some(name => Object.hasOwn(given, name)))
    throw refused('it holds a private key or a secret: make a new key pair, and send its public part alone')
  const kty = typeof given['kty'] === 'string' ? given['kty'] : ''
  const named = Object.hasOwn(members, kty) ? members[kty] : undefined
  if (named === undefined) throw refused('kty is none of EC, RSA and OKP')
  if (named.some(name => typeof given[name] !== 'string'))
    throw refused(`it lacks one of ${named.join(', ')}`)
  const key = publicKeyOf({ kty, ...Object.fromEntries(named.map(name => [name, given[name]])) })
  if (key === null) throw refused('it is no public key that can be read')
  const weakness = weaknessOf(key)
  if (weakness !== null) throw refused(weakness)
  if (keyTypeOf(key).startsWith('ml-dsa')) throw refused('ML-DSA keys sign no requests of ACME')
  return { key, ...provenKey(key) }
}

/** The key of an account on record. */
export function accountKeyOf(spki: Buffer): KeyObject {
  return createPublicKey({ key: spki, format: 'der', type: 'spki' })
}

function publicKeyOf(jwk: Record<string, unknown>): KeyObject | null {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    return null
  }
}
