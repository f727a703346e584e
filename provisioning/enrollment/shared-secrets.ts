// The secret that a device and this service share where a protocol proves knowledge of one instead of sending it. Derived from a key of the service and
// the ID of an enrollment token or claim, so that none is stored: tokens are on record as hashes, with which nothing can be proved.
import { createHmac, type KeyObject } from 'node:crypto'
import { generateKey, readKey, writeKey } from '../ca/keys.ts'
import type { DataDirectory } from '../data-directory.ts'

/** Names the protocol in what is derived, so that a secret of one is none of another. */
type Protocol = 'cmp' | 'acme'

export type SharedSecrets = {
  /** `id` is that of an enrollment token or claim. */
  secretOf(protocol: Protocol, id: string): string
}

/**
 * The key in `keys/shared-secrets.key`; made where there is none. It is a private key of Ed25519 that signs nothing, so that it is stored, sealed and
 * backed up like the others; its 256 random bits are the key of the HMAC. Throws an error that names the file where it holds no such key.
 */
export function keepSharedSecretKey({ sharedSecretKey }: DataDirectory): Buffer {
  const found = readKey(sharedSecretKey)
  const key = found ?? generateKey('ed25519')
  if (found === null) writeKey(sharedSecretKey, key)
  return seedOf(key, sharedSecretKey)
}

function seedOf(key: KeyObject, file: string): Buffer {
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Error(
      `${file} is no Ed25519 key: restore it from a backup, or move it away; secrets of CMP and ACME that were handed out are then void`,
    )
  return Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url')
}

export function createSharedSecrets(key: Buffer): SharedSecrets {
  return {
    secretOf(protocol, id) {
      const derived = createHmac('sha256', key).update(`rollcall ${protocol} ${id}`).digest('base64url')
      // Clients of ACME decode it, and dehydrated makes no key of other than whole lines of 16 octets.
      return protocol === 'acme' ? derived : `rcs_${derived}`
    },
  }
}

/** What a client of ACME takes for the token or claim of this ID. */
export function accountBindingOf(secrets: SharedSecrets, id: string): { kid: string; hmacKey: string } {
  return { kid: id, hmacKey: secrets.secretOf('acme', id) }
}
