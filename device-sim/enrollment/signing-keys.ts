// Keys by the names that we give them, and their signatures. The library that writes requests and certificates speaks WebCrypto;
// Node's warns of ML-DSA as experimental, so the two verbs that the library calls are served by node:crypto.
import { createPublicKey, generateKeyPair, type KeyObject, sign, type webcrypto } from 'node:crypto'
import { promisify } from 'node:util'

export const keyTypes = ['p256', 'p384', 'ed25519', 'rsa2048', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const
export type KeyType = (typeof keyTypes)[number]

/** How each signs, in the words of WebCrypto. */
export const signingAlgorithms: Readonly<Record<KeyType, webcrypto.EcdsaParams & { namedCurve?: string }>> = {
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  ed25519: bringingItsHash('Ed25519'),
  rsa2048: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  'ml-dsa-44': bringingItsHash('ML-DSA-44'),
  'ml-dsa-65': bringingItsHash('ML-DSA-65'),
  'ml-dsa-87': bringingItsHash('ML-DSA-87'),
}

function bringingItsHash(name: string): webcrypto.EcdsaParams {
  return { name } as webcrypto.EcdsaParams
}

const generate = promisify(generateKeyPair)

const generated: Readonly<Record<KeyType, () => Promise<{ privateKey: KeyObject }>>> = {
  p256: () => generate('ec', { namedCurve: 'P-256' }),
  p384: () => generate('ec', { namedCurve: 'P-384' }),
  ed25519: () => generate('ed25519'),
  rsa2048: () => generate('rsa', { modulusLength: 2048 }),
  'ml-dsa-44': () => generate('ml-dsa-44'),
  'ml-dsa-65': () => generate('ml-dsa-65'),
  'ml-dsa-87': () => generate('ml-dsa-87'),
}

export async function generatePrivateKey(keyType: KeyType): Promise<KeyObject> {
  return (await generated[keyType]()).privateKey
}

export function pkcs8Of(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

/** Which of our key types a key is; null for any other. */
export function keyTypeOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): KeyType | null {
  const same = keyTypes.find(type => type === asymmetricKeyType)
  if (same !== undefined) return same
  if (asymmetricKeyType === 'rsa') return asymmetricKeyDetails?.modulusLength === 2048 ? 'rsa2048' : null
  if (asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'p256'
  return asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'p384' : null
}

/** The form in which the library holds a key; `keyObject` is for us. */
type HeldKey = webcrypto.CryptoKey & { keyObject: KeyObject }

/** A key pair as the library takes it, with `nodeCrypto` beside. */
export function keysOf(privateKey: KeyObject, keyType: KeyType): webcrypto.CryptoKeyPair {
  const algorithm = signingAlgorithms[keyType]
  const held = (type: 'private' | 'public', keyObject: KeyObject): HeldKey => ({
    ...{ type, algorithm, extractable: true, keyObject },
    usages: [type === 'private' ? 'sign' : 'verify'],
  })
  return { privateKey: held('private', privateKey), publicKey: held('public', createPublicKey(privateKey)) }
}

export const nodeCrypto = {
  subtle: {
    async exportKey(_format: 'spki', { keyObject }: HeldKey): Promise<ArrayBuffer> {
      return arrayBufferOf(keyObject.export({ type: 'spki', format: 'der' }))
    },
    async sign(
      { hash }: { hash?: string },
      { keyObject }: HeldKey,
      bytes: ArrayBuffer,
    ): Promise<ArrayBuffer> {
      // The library may name a hash also where the key brings its own.
      const hashes = /^(ec|rsa)$/.test(keyObject.asymmetricKeyType ?? '')
      const digest = hashes ? (hash ?? 'SHA-256').replace('-', '') : null
      return arrayBufferOf(sign(digest, new Uint8Array(bytes), { key: keyObject, dsaEncoding: 'ieee-p1363' }))
    },
  },
} as unknown as webcrypto.Crypto

function arrayBufferOf(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}
