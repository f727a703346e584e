// The public key that a request asks a certificate for: whether it can be read and may have one, and whether a signature proves its possession.
// Knows no form of request.
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { keyTypeOf, spkiHashOf } from '../../pki/certificate-facts.ts'
import { keyTypeProblem } from '../../pki/key-policy.ts'
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

export function provenKey(key: KeyObject): ProvenKey {
  const spki = key.export({ type: 'spki', format: 'der' })
  return { spki, spkiHash: spkiHashOf(key), keyType: keyTypeOf(key) }
}
