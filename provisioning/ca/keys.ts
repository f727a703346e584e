// The private keys of this service: made, stored as PKCS #8 PEM (0600), read back.
// Refuses to know what they sign.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type MlDsaType, mlDsaTypes } from '../../pki/key-policy.ts'
import { readText, replaceFile } from '../data-directory.ts'

/** Kinds of keys the root, the issuing CA and the server may hold; `rsa` is RSA-3072. */
export const caKeyTypes = ['p256', 'p384', 'rsa', 'ed25519', ...mlDsaTypes] as const
export type CaKeyType = (typeof caKeyTypes)[number]

export function generateKey(type: CaKeyType): KeyObject {
  switch (type) {
    case 'p256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey
    case 'ml-dsa-44':
    case 'ml-dsa-65':
    case 'ml-dsa-87':
      return generateMlDsa(type)
  }
}

/** The types of Node know a literal each, and no union of them. */
function generateMlDsa(type: MlDsaType): KeyObject {
  return generateKeyPairSync(type as 'ml-dsa-65').privateKey
}

export function writeKey(file: string, key: KeyObject): void {
  replaceFile(file, key.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600)
}

/** The key in a file, null where there is no file. Throws an error that names the file where it holds no key. */
export function readKey(file: string): KeyObject | null {
  const pem = readText(file)
  if (pem === null) return null
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw new Error(`${file} holds no readable private key: restore it from a backup`, { cause })
  }
}

/** DER of the SubjectPublicKeyInfo that belongs to a private or public key. */
export function spkiOf(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ type: 'spki', format: 'der' })
}
