// Certificates for tests, made in the test: an authority of its own, and leaves of every kind, good and bad.
import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto as never)

const keyAlgorithms = {
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  p521: { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
  ed25519: { name: 'Ed25519' },
  rsa1024: rsa(1024),
  rsa2048: rsa(2048),
}
export type KeyType = keyof typeof keyAlgorithms

export type Identity = { certificate: string; key: string; der: Buffer }

export type LeafOptions = {
  name: string
  /** The whole subject, where a common name alone will not do. */
  subject?: x509.JsonName
  keyType?: KeyType
  notBefore?: Date
  notAfter?: Date
  /** Extended key usage OIDs; none leaves the extension out. */
  usages?: string[] | null
  ca?: boolean
  serialNumber?: string
  keyPair?: webcrypto.CryptoKeyPair
  /** Besides those it has anyway. */
  extensions?: x509.Extension[]
}

export type Authority = {
  certificate: string
  der: Buffer
  keyPair: webcrypto.CryptoKeyPair
  issue(options: LeafOptions): Promise<Identity>
  /** A CA certificate signed by this one. */
  subordinate(name: string, validity?: Validity): Promise<Authority>
}

/** With the key of an authority that this one renews; by default its own. */
export type Validity = { notBefore?: Date; notAfter?: Date; keyPair?: webcrypto.CryptoKeyPair }

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const DAY_MS = 86_400_000

export const usage = { clientAuth: CLIENT_AUTH, serverAuth: SERVER_AUTH }

/** A self-signed root. */
export async function createAuthority(name = 'Test Root', validity: Validity = {}): Promise<Authority> {
  const keyPair = validity.keyPair ?? (await makeKeyPair('p256'))
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys: keyPair,
    serialNumber: serialNumber(),
    notBefore: validity.notBefore ?? new Date(Date.now() - DAY_MS * 30),
    notAfter: validity.notAfter ?? new Date(Date.now() + DAY_MS * 3650),
    signingAlgorithm: keyAlgorithms.p256,
    extensions: caExtensions(),
  })
  return authorityOf(certificate, keyPair)
}

/** A certificate signed by its own key. */
export async function selfSigned(options: LeafOptions): Promise<Identity> {
  const keyPair = options.keyPair ?? (await makeKeyPair(options.keyType ?? 'p256'))
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...leafFields(options),
    name: subjectOf(options),
    keys: keyPair,
    signingAlgorithm: keyAlgorithms[options.keyType ?? 'p256'],
  })
  return identityOf(certificate, keyPair.privateKey)
}

export async function makeKeyPair(keyType: KeyType): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(keyAlgorithms[keyType], true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
}

function authorityOf(
  certificate: x509.X509Certificate,
  keyPair: webcrypto.CryptoKeyPair,
  ca = true,
): Authority {
  const issuer = certificate.subject
  return {
    certificate: certificate.toString('pem'),
    der: Buffer.from(certificate.rawData),
    keyPair,
    async issue(options) {
      const leafKeys = options.keyPair ?? (await makeKeyPair(options.keyType ?? 'p256'))
      const leaf = await x509.X509CertificateGenerator.create({
        ...leafFields(options),
        subject: subjectOf(options),
        issuer,
        publicKey: leafKeys.publicKey,
        signingKey: keyPair.privateKey,
        signingAlgorithm: keyAlgorithms.p256,
      })
      return identityOf(leaf, leafKeys.privateKey)
    },
    async subordinate(name, validity = {}) {
      const keys = validity.keyPair ?? (await makeKeyPair('p256'))
      const subordinate = await x509.X509CertificateGenerator.create({
        subject: `CN=${name}`,
        issuer,
        serialNumber: serialNumber(),
        notBefore: validity.notBefore ?? new Date(Date.now() - DAY_MS * 29),
        notAfter: validity.notAfter ?? new Date(Date.now() + DAY_MS * 3000),
        publicKey: keys.publicKey,
        signingKey: keyPair.privateKey,
        signingAlgorithm: keyAlgorithms.p256,
        extensions: caExtensions(),
      })
      return authorityOf(subordinate, keys, ca)
    },
  }
}

/** An authority whose certificate says it is none: a device that signs. */
export async function authorityFrom(
  identity: Identity,
  keyPair: webcrypto.CryptoKeyPair,
): Promise<Authority> {
  return authorityOf(new x509.X509Certificate(identity.certificate), keyPair, false)
}

function leafFields(options: LeafOptions) {
  const usages = options.usages === undefined ? [CLIENT_AUTH] : options.usages
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(options.ca ?? false, undefined, true),
    ...(options.extensions ?? []),
  ]
  if (usages !== null) extensions.push(new x509.ExtendedKeyUsageExtension(usages))
  if (usages?.includes(SERVER_AUTH)) {
    extensions.push(
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
    )
  }
  return {
    serialNumber: options.serialNumber ?? serialNumber(),
    notBefore: options.notBefore ?? new Date(Date.now() - 60_000),
    notAfter: options.notAfter ?? new Date(Date.now() + DAY_MS * 90),
    extensions,
  }
}

function caExtensions(): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
  ]
}

function subjectOf(options: LeafOptions): x509.JsonName {
  return options.subject ?? [{ CN: [options.name] }]
}

function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return bytes.toString('hex')
}

async function identityOf(
  certificate: x509.X509Certificate,
  privateKey: webcrypto.CryptoKey,
): Promise<Identity> {
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey))
  return {
    certificate: certificate.toString('pem'),
    key: x509.PemConverter.encode(key, 'PRIVATE KEY'),
    der: Buffer.from(certificate.rawData),
  }
}

function rsa(modulusLength: number) {
  return {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength,
    publicExponent: new Uint8Array([1, 0, 1]),
  }
}
