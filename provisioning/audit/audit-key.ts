// The Ed25519 key that signs audit checkpoints: made by the first start, with the public key beside it for verifiers.
// Refuses to replace a lost key silently: a new key could sign a new history.
import { createPublicKey, type KeyObject } from 'node:crypto'
import { generateKey, readKey, writeKey } from '../ca/keys.ts'
import { type DataDirectory, readText, replaceFile } from '../data-directory.ts'

/** Finds or makes the key. Throws an error that says what to do where key and public key do not belong together. */
export function keepAuditKey(directory: DataDirectory): { key: KeyObject; made: boolean } {
  const { auditKey, auditPublicKey } = directory
  const shown = readText(auditPublicKey)
  const found = readKey(auditKey)
  if (found === null && shown !== null) {
    throw new Error(
      `${auditKey} is missing although ${auditPublicKey} is there: restore it from a backup, or move the public key ` +
        'away and keep it, to begin with a new key (old checkpoints are then verified with both)',
    )
  }
  if (found !== null && found.asymmetricKeyType !== 'ed25519') {
    throw new Error(`${auditKey} is no Ed25519 key: restore it from a backup`)
  }
  const key = found ?? generateKey('ed25519')
  // The private key first: a start that is interrupted between the two goes on from it.
  if (found === null) writeKey(auditKey, key)
  const publicPem = createPublicKey(key).export({ type: 'spki', format: 'pem' }) as string
  if (shown === null) replaceFile(auditPublicKey, publicPem, 0o644)
  else if (shown.trim() !== publicPem.trim()) {
    throw new Error(`${auditKey} is not the key of ${auditPublicKey}: restore both from one backup`)
  }
  return { key, made: found === null }
}
