// Signed checkpoints: what an Ed25519 key vouched for, namely that the chain had this hash at this row.
// Knows how one is worded, signed and verified; refuses to know where the private key is kept.
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { canonicalJson, timeText } from '../audit-chain.ts'

/** `number` counts from 1 without gaps; `keyId` is the SPKI hash of the key; the signature is base64url. */
export type Checkpoint = {
  number: number
  seq: number
  hash: string
  at: number
  keyId: string
  signature: string
}

/** Public keys by their ID. */
export type AuditKeys = ReadonlyMap<string, KeyObject>

/** SHA-256 of the SubjectPublicKeyInfo, lowercase hex. */
export function keyIdOf(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}

/**
 * Keys by ID from PEM texts.
 * @throws {Error} where a text is no public key, or a key of another kind than Ed25519
 */
export function auditKeys(...pems: string[]): AuditKeys {
  const keys = pems.map(pem => createPublicKey(pem))
  for (const { asymmetricKeyType } of keys)
    if (asymmetricKeyType !== 'ed25519') throw new Error(`an audit key is Ed25519, not ${asymmetricKeyType}`)
  return new Map(keys.map(key => [keyIdOf(key), key]))
}

export function signCheckpoint(
  facts: Pick<Checkpoint, 'number' | 'seq' | 'hash' | 'at'>,
  key: KeyObject,
): Checkpoint {
  const unsigned = { ...facts, keyId: keyIdOf(key) }
  return { ...unsigned, signature: sign(null, signedText(unsigned), key).toString('base64url') }
}

/** Whether one of the keys signed exactly this. */
export function isGenuine(checkpoint: Checkpoint, keys: AuditKeys): boolean {
  const key = keys.get(checkpoint.keyId)
  return (
    key !== undefined &&
    verify(null, signedText(checkpoint), key, Buffer.from(String(checkpoint.signature), 'base64url'))
  )
}

/** The name in front keeps a signature of this key from meaning anything elsewhere. */
function signedText({ number, seq, hash, at, keyId }: Omit<Checkpoint, 'signature'>): Buffer {
  return Buffer.from(
    `rollcall audit checkpoint\n${canonicalJson({ number, seq, hash, ts: timeText(at), keyId })}`,
  )
}
