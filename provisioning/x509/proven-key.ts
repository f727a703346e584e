// The public key that a request asks a certificate for: whether it can be read and may have one, and whether a signature proves its possession.
// Knows no form of request.
import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { keyTypeOf, spkiHashOf } from '../../pki/certificate-facts.ts'
import { readOrNull } from '../../pki/foreign-bytes.ts'
import { keyTypeProblem } from '../../pki/key-policy.ts'
import { pssParametersOf } from '../../pki/pss-parameters.ts'
import { signatureAlgorithms } from '../../pki/signature-algorithms.ts'
import { weaknessOfKey } from '../../pki/weak-keys.ts'

/** What a request contributes to a certificate: a public key whose possession it proved. */
export type ProvenKey = { spki: Buffer; spkiHash: string; keyType: string }

/** Null where the octets (DER of SubjectPublicKeyInfo) are no key that can be read. */
export function readPublicKey(spki: Buffer): KeyObject | null {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch {
    return null
  }
}

/** Why no certificate may hold the key, or null. */
export function weaknessOf(key: KeyObject): string | null {
  return keyTypeProblem(keyTypeOf(key)) ?? weaknessOfKey(key)
}

/** Whether the key made the signature; null where the algorithm is none without parameters of its own. Never throws. */
export function verifiesSimply(
  key: KeyObject,
  { oid, signed, signature }: { oid: string; signed: Uint8Array; signature: Uint8Array },
): boolean | null {
  const known = signatureAlgorithms.get(oid)
  if (known === undefined) return null
  if (known.keyType !== key.asymmetricKeyType) return false
  try {
    return verify(known.hash, signed, key, signature)
  } catch {
    return false
  }
}

/**
 * Whether an RSA key made the signature by RSASSA-PSS with these parameters (RFC 4055 §3.1, RFC 9481 §3.2): SHA-256, -384 or -512, the same in MGF1.
 * Null where they are others. Never throws.
 */
export function verifiesPss(
  key: KeyObject,
  { parameters, signed, signature }: { parameters: Buffer | null; signed: Uint8Array; signature: Uint8Array },
): boolean | null {
  const read = readOrNull(() => pssParametersOf(parameters))
  if (read === null) return null
  if (key.asymmetricKeyType !== 'rsa') return false
  const { hash, saltLength } = read
  try {
    return verify(hash, signed, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature)
  } catch {
    return false
  }
}

export function provenKey(key: KeyObject): ProvenKey {
  const spki = key.export({ type: 'spki', format: 'der' })
  return { spki, spkiHash: spkiHashOf(key), keyType: keyTypeOf(key) }
}
