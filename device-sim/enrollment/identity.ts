// What a device proves itself with: a key pair of its own, a certificate request, and (for rogues) certificates that
// must be refused. Does not know where identities are kept and which CA signs the honest ones.
import { createHash, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import type * as X509 from '@peculiar/x509'
import {
  generatePrivateKey,
  type KeyType,
  keysOf,
  keyTypeOf as keyTypeOfKey,
  nodeCrypto,
  pkcs8Of,
  signingAlgorithms,
} from './signing-keys.ts'

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

/** Loaded where certificates or requests are made: it takes longer than all else of a start. */
export async function loadX509(): Promise<typeof X509> {
  await import('reflect-metadata')
  return import('@peculiar/x509')
}

/** A fresh key (PKCS #8 PEM) and a PKCS #10 request for it with CN = device ID. The key never leaves the process but by the caller. */
export async function makeRequest(deviceId: string, keyType: KeyType): Promise<{ key: string; csr: string }> {
  const key = await generatePrivateKey(keyType)
  return { key: pkcs8Of(key), csr: await requestFor(deviceId, key, keyType) }
}

/** A PKCS #10 request (PEM) with CN = device ID, signed with this key. */
export async function requestFor(deviceId: string, key: KeyObject, keyType: KeyType): Promise<string> {
  const x509 = await loadX509()
  const csr = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      name: [{ CN: [deviceId] }],
      keys: keysOf(key, keyType),
      signingAlgorithm: signingAlgorithms[keyType],
    },
    nodeCrypto,
  )
  return `${csr.toString('pem')}\n`
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
  return keyTypeOfKey(new X509Certificate(certificates).publicKey)
}

/** The victim's subject, names and serial number under a CA that borrows the real issuer's name but not its key. */
export async function forgeWithForeignCa(victim: Identity, keyType: KeyType): Promise<Identity> {
  const x509 = await loadX509()
  const real = new x509.X509Certificate(victim.certificates)
  const caKeys = keysOf(await generatePrivateKey(keyType), keyType)
  const signingAlgorithm = signingAlgorithms[keyType]
  const ca = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: randomBytes(16).toString('hex'),
      name: real.issuerName.toJSON(),
      notBefore: new Date(Date.now() - 3_600_000),
      notAfter: victim.notAfter,
      keys: caKeys,
      signingAlgorithm,
      extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
    },
    nodeCrypto,
  )
  const key = await generatePrivateKey(keyType)
  const leaf = await x509.X509CertificateGenerator.create(
    {
      ...namesOf(x509, real),
      issuer: ca.subjectName,
      publicKey: keysOf(key, keyType).publicKey,
      signingKey: caKeys.privateKey,
      signingAlgorithm,
    },
    nodeCrypto,
  )
  const chain = [leaf.toString('pem'), ca.toString('pem')]
  return identityFrom(victim.deviceId, pkcs8Of(key), chain)
}

/** The victim's subject and names, signed by its own key alone. */
export async function forgeSelfSigned(victim: Identity, keyType: KeyType): Promise<Identity> {
  const x509 = await loadX509()
  const real = new x509.X509Certificate(victim.certificates)
  const key = await generatePrivateKey(keyType)
  const leaf = await x509.X509CertificateGenerator.createSelfSigned(
    {
      ...namesOf(x509, real),
      name: real.subjectName.toJSON(),
      keys: keysOf(key, keyType),
      signingAlgorithm: signingAlgorithms[keyType],
    },
    nodeCrypto,
  )
  return identityFrom(victim.deviceId, pkcs8Of(key), [leaf.toString('pem')])
}

function namesOf(x509: typeof X509, real: X509.X509Certificate) {
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
