// Requests as JSON Web Signatures (RFC 8555 §6.2 to §6.5, RFC 7515): what the header says, and whether the signature is made with the key that it names.
// The library verifies; nothing of a payload is read before. Any doubt refuses.

import type { KeyObject } from 'node:crypto'
import { decodeProtectedHeader, flattenedVerify } from 'jose'
import Type, { type Static } from 'typebox'
import { strict } from '../http/schemas.ts'
import { acmeFault } from './acme-problems.ts'

const Part = Type.String({ pattern: '^[A-Za-z0-9_-]*$' })
/** Flattened JSON Serialization (RFC 7515 §7.2.2), without unprotected header. */
export const Jws = Type.Object({ protected: Part, payload: Part, signature: Part }, strict)
export type Jws = Static<typeof Jws>

export type Header = Readonly<Record<string, unknown>>
export type Payload = Readonly<Record<string, unknown>>

/** Of public keys; every one is safe with the keys that are accepted. */
export const signatureAlgorithms = [
  'ES256',
  'ES384',
  'EdDSA',
  'Ed25519',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
] as const
export const macAlgorithms = ['HS256', 'HS384', 'HS512'] as const

export function isJws(value: unknown): value is Jws {
  if (typeof value !== 'object' || value === null) return false
  const given = value as Record<string, unknown>
  const names = ['protected', 'payload', 'signature']
  return (
    Object.keys(given).length === names.length &&
    names.every(name => typeof given[name] === 'string' && /^[A-Za-z0-9_-]*$/.test(given[name]))
  )
}

/** The protected header, not verified. Throws `acme_malformed` or `acme_algorithm_refused`. */
export function headerOf(jws: Jws, algorithms: readonly string[]): Header {
  const header = decoded(jws)
  // Unencoded payloads (RFC 7797) and other extensions are not for ACME.
  if (header['crit'] !== undefined || header['b64'] !== undefined)
    throw acmeFault('acme_malformed', 'protected: crit and b64 are not taken')
  if (typeof header['alg'] !== 'string' || !algorithms.includes(header['alg']))
    throw acmeFault('acme_algorithm_refused', `protected: alg is none of ${algorithms.join(', ')}`)
  return header
}

function decoded(jws: Jws): Header {
  try {
    return decodeProtectedHeader({ protected: jws.protected }) as Header
  } catch {
    throw acmeFault('acme_malformed', 'protected: it is no JSON object in base64url')
  }
}

/** The payload as it was signed. Throws `acme_unauthorized` where it was not, with this key. */
export async function verifiedBytes(
  jws: Jws,
  key: KeyObject | Uint8Array,
  algorithms: readonly string[],
): Promise<Buffer> {
  try {
    const { payload } = await flattenedVerify(jws, key, { algorithms: [...algorithms] })
    return Buffer.from(payload)
  } catch {
    // Another key, another algorithm than the key's, a signature of another form: all of that is no signature with it.
    throw acmeFault('acme_unauthorized', 'the signature is not made with the key that the header names')
  }
}

/** The JSON object of a payload; null for none, which is how a resource is read (RFC 8555 §6.3). Throws `acme_malformed`. */
export function payloadOf(bytes: Buffer): Payload | null {
  if (bytes.length === 0) return null
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Payload
  } catch {
    // Said below.
  }
  throw acmeFault('acme_malformed', 'payload: it is no JSON object')
}
