// The owner of a public key, and whether the key may be certified at all. Asked in the transaction that decides about a certificate,
// by every way onto the roll; triggers hold the same below the verbs.
import type { Transaction } from 'kysely'
import type { Schema } from '../schema.ts'
import { insert, rowsOf } from '../statement.ts'
import { Conflict } from '../transact.ts'
import { assertNoClaimKey, assertNoOperatorKey } from './key-owners.ts'

/**
 * Binds a public key to a device for ever. `spkiHash` is the SHA-256 of the SubjectPublicKeyInfo in hex.
 * @throws {Conflict} `public_key_taken`, `public_key_compromised`
 */
export async function bindPublicKey(
  transaction: Transaction<Schema>,
  spkiHash: string,
  deviceId: string,
): Promise<void> {
  await assertNoClaimKey(transaction, spkiHash)
  await assertNoOperatorKey(transaction, spkiHash)
  await assertNotRetired(transaction, spkiHash)
  const key = { spki_hash: spkiHash, device_id: deviceId }
  await insert(transaction, 'public_keys', key, '(spki_hash) DO NOTHING')
  const [owner] = await rowsOf<{ device_id: string }>(
    transaction,
    'SELECT device_id FROM public_keys WHERE spki_hash = ?',
    spkiHash,
  )
  if (owner?.device_id !== deviceId) {
    throw new Conflict(
      'public_key_taken',
      'this public key belongs to another device: generate a new key pair',
    )
  }
  await assertNotCompromised(transaction, spkiHash)
}

/** Throws `public_key_taken` where the key was that of a device that was deleted. */
export async function assertNotRetired(transaction: Transaction<Schema>, spkiHash: string): Promise<void> {
  const text = 'SELECT device_id FROM retired_keys WHERE spki_hash = ?'
  if ((await rowsOf(transaction, text, spkiHash)).length === 0) return
  throw new Conflict(
    'public_key_taken',
    'this public key belonged to a device that was deleted: generate a new key pair',
  )
}

/** Throws `public_key_compromised` where the key was revoked for compromise, on whichever device. */
export async function assertNotCompromised(
  transaction: Transaction<Schema>,
  spkiHash: string,
): Promise<void> {
  if (!(await isCompromised(transaction, spkiHash))) return
  throw new Conflict(
    'public_key_compromised',
    'this public key was revoked as compromised: generate a new key pair',
  )
}

export async function isCompromised(transaction: Transaction<Schema>, spkiHash: string): Promise<boolean> {
  const text = 'SELECT spki_hash FROM compromised_keys WHERE spki_hash = ?'
  return (await rowsOf(transaction, text, spkiHash)).length > 0
}
