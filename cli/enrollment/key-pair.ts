// A device's key and its certificate request (PKCS #10). Keys are PKCS #8 PEM, as OpenSSL and mosquitto read them.
// Refuses to know where keys are stored and which CA signs.
import 'reflect-metadata'
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, webcrypto } from 'node:crypto'
import { promisify } from 'node:util'
import { cryptoProvider, Pkcs10CertificateRequestGenerator } from '@peculiar/x509'

const keyTypes = ['p256', 'p384', 'ed25519', 'rsa2048', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const
export type KeyType = (typeof keyTypes)[number]

type Algorithm = webcrypto.EcKeyImportParams & webcrypto.RsaHashedImportParams & webcrypto.EcdsaParams

const algorithms = {
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  ed25519: { name: 'Ed25519' },
  rsa2048: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  'ml-dsa-44': { name: 'ML-DSA-44' },
  'ml-dsa-65': { name: 'ML-DSA-65' },
  'ml-dsa-87': { name: 'ML-DSA-87' },
} as unknown as Record<KeyType, Algorithm>

const generated: Record<KeyType, () => Promise<{ privateKey: KeyObject }>> = {
  p256: () => promisify(generateKeyPair)('ec', { namedCurve: 'P-256' }),
  p384: () => promisify(generateKeyPair)('ec', { namedCurve: 'P-384' }),
  ed25519: () => promisify(generateKeyPair)('ed25519'),
  rsa2048: () => promisify(generateKeyPair)('rsa', { modulusLength: 2048 }),
  'ml-dsa-44': () => promisify(generateKeyPair)('ml-dsa-44'),
  'ml-dsa-65': () => promisify(generateKeyPair)('ml-dsa-65'),
  'ml-dsa-87': () => promisify(generateKeyPair)('ml-dsa-87'),
}

/** A fresh private key, PKCS #8 PEM. */
export async function makeKey(keyType: KeyType): Promise<string> {
  const { privateKey } = await generated[keyType]()
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

/** Which of our key types a private key is; null for any other. @throws where the PEM is no private key. */
export function keyTypeOf(keyPem: string): KeyType | null {
  const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(keyPem)
  const same = keyTypes.find(type => type === asymmetricKeyType)
  if (same !== undefined) return same
  if (asymmetricKeyType === 'rsa') return asymmetricKeyDetails?.modulusLength === 2048 ? 'rsa2048' : null
  if (asymmetricKeyType !== 'ec') return null
  if (asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'p256'
  return asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'p384' : null
}

/** A PKCS #10 request (PEM) with CN = device ID, signed by this key. */
export async function makeRequest(deviceId: string, keyPem: string, keyType: KeyType): Promise<string> {
  cryptoProvider.set(webcrypto)
  const algorithm = algorithms[keyType]
  const privateKey = createPrivateKey(keyPem)
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [deviceId] }],
    keys: {
      privateKey: privateKey.toCryptoKey(algorithm, true, ['sign']),
      publicKey: createPublicKey(privateKey).toCryptoKey(algorithm, true, ['verify']),
    },
    signingAlgorithm: algorithm,
  })
  return `${request.toString('pem')}\n`
}
