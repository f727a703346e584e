// What a device proves itself with: a key pair of its own, a certificate request, and (for rogues) certificates that
// nobody should believe. Does not know where identities are kept and who signs the honest ones.
import 'reflect-metadata'
import { createHash, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto)

export const keyTypes = ['p256', 'p384', 'ed25519', 'rsa2048', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const
export type KeyType = (typeof keyTypes)[number]

export function isKeyType(text: string): text is KeyType {
  return (keyTypes as readonly string[]).includes(text)
}

/** A device's name with the key and certificates (leaf first) that it presents. PEM. */
export type Identity = {
  deviceId: string
  key: string
  /** Leaf, then the issuing chain without the root. */
  certificates: string
  /** SHA-256 of the leaf's DER, lowercase hex. */
  fingerprint: string
  notAfter: Date
}

type SigningAlgorithm = Parameters<typeof x509.X509CertificateGenerator.create>[0]['signingAlgorithm']

const algorithms: Record<KeyType, SigningAlgorithm & { name: string }> = {
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as SigningAlgorithm & { name: string },
  p384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' } as SigningAlgorithm & { name: string },
  ed25519: { name: 'Ed25519' } as SigningAlgorithm & { name: string },
  rsa2048: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  } as SigningAlgorithm & { name: string },
  'ml-dsa-44': { name: 'ML-DSA-44' } as SigningAlgorithm & { name: string },
  'ml-dsa-65': { name: 'ML-DSA-65' } as SigningAlgorithm & { name: string },
  'ml-dsa-87': { name: 'ML-DSA-87' } as SigningAlgorithm & { name: string },
}

/** A fresh key (PKCS #8 PEM) and a PKCS #10 request for it with CN = device ID. The key never leaves the process but by the caller. */
export async function makeRequest(deviceId: string, keyType: KeyType): Promise<{ key: string; csr: string }> {
  const keys = await generateKeys(keyType)
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [deviceId] }],
    keys,
    signingAlgorithm: algorithms[keyType],
  })
  return { key: await exportKey(keys.privateKey), csr: `${csr.toString('pem')}\n` }
}

/** An identity from its key and PEM certificates, leaf first. @throws where the first is no certificate. */
export function identityFrom(deviceId: string, key: string, certificates: readonly string[]): Identity {
  const joined = certificates.map(pem => `${pem.trim()}\n`).join('')
  const leaf = new X509Certificate(joined)
  return {
    deviceId,
    key: `${key.trim()}\n`,
    certificates: joined,
    fingerprint: createHash('sha256').update(leaf.raw).digest('hex'),
    notAfter: leaf.validToDate,
  }
}

/** Which of our key types a leaf certificate carries; null for any other. */
export function keyTypeOf(certificates: string): KeyType | null {
  const { asymmetricKeyType, asymmetricKeyDetails } = new X509Certificate(certificates).publicKey
  const same = keyTypes.find(type => type === asymmetricKeyType)
  if (same !== undefined) return same
  if (asymmetricKeyType === 'rsa') return asymmetricKeyDetails?.modulusLength === 2048 ? 'rsa2048' : null
  if (asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'p256'
  return asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'p384' : null
}

/** The victim's subject, names and serial number under a CA that borrows the real issuer's name but not its key. */
export async function forgeWithForeignCa(victim: Identity, keyType: KeyType): Promise<Identity> {
  const real = new x509.X509Certificate(victim.certificates)
  const caKeys = await generateKeys(keyType)
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(16).toString('hex'),
    name: real.issuerName.toJSON(),
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: victim.notAfter,
    keys: caKeys,
    signingAlgorithm: algorithms[keyType],
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  })
  const keys = await generateKeys(keyType)
  const leaf = await x509.X509CertificateGenerator.create({
    ...namesOf(real),
    issuer: ca.subjectName,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: algorithms[keyType],
  })
  const chain = [leaf.toString('pem'), ca.toString('pem')]
  return identityFrom(victim.deviceId, await exportKey(keys.privateKey), chain)
}

/** The victim's subject and names, signed by its own key alone. */
export async function forgeSelfSigned(victim: Identity, keyType: KeyType): Promise<Identity> {
  const real = new x509.X509Certificate(victim.certificates)
  const keys = await generateKeys(keyType)
  const leaf = await x509.X509CertificateGenerator.createSelfSigned({
    ...namesOf(real),
    name: real.subjectName.toJSON(),
    keys,
    signingAlgorithm: algorithms[keyType],
  })
  return identityFrom(victim.deviceId, await exportKey(keys.privateKey), [leaf.toString('pem')])
}

function namesOf(real: x509.X509Certificate) {
  const alternativeNames = real.getExtension(x509.SubjectAlternativeNameExtension)
  return {
    serialNumber: real.serialNumber,
    subject: real.subjectName.toJSON(),
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: real.notAfter,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      ...(alternativeNames ? [alternativeNames] : []),
    ],
  }
}

async function generateKeys(keyType: KeyType): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(algorithms[keyType] as webcrypto.EcKeyAlgorithm, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')
}
