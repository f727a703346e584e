// Certificates that no tool makes: any version, names, dates, extensions and signature algorithm, written DER by DER and
// signed by a real key. What they say is odd; the signature always verifies.
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { commonNames, der, extension, oid, sequence } from '../provisioning/x509/csr-forge.ts'

export { commonNames, der, extension, oid, sequence }

export type ForgedCertificate = {
  /** 3 where nothing is told; of version 1 the field is left out, as DER has it. */
  version?: number
  serialNumber?: Uint8Array
  subject?: Uint8Array
  issuer?: Uint8Array
  notBefore?: Uint8Array
  notAfter?: Uint8Array
  /** None leaves the field out. */
  extensions?: readonly Uint8Array[]
  /** Of the device. */
  key?: KeyObject
  /** The signer; the device itself if none is given. */
  signer?: KeyObject
  signature?: { algorithm: Uint8Array; hash: string | null }
}

export const p256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
export const utcTime = (text: string) => der(0x17, Buffer.from(text))
export const generalizedTime = (text: string) => der(0x18, Buffer.from(text))
export const noName = sequence()

export const signatures = {
  ecdsaSha256: { algorithm: sequence(oid('2a8648ce3d040302')), hash: 'sha256' },
  ecdsaSha1: { algorithm: sequence(oid('2a8648ce3d0401')), hash: 'sha1' },
  rsaSha256: { algorithm: sequence(oid('2a864886f70d01010b'), Buffer.of(5, 0)), hash: 'sha256' },
  rsaSha1: { algorithm: sequence(oid('2a864886f70d010105'), Buffer.of(5, 0)), hash: 'sha1' },
  rsaMd5: { algorithm: sequence(oid('2a864886f70d010104'), Buffer.of(5, 0)), hash: 'md5' },
} as const

/** Extensions in the hex of their object identifier, by name; the value is the DER inside of the OCTET STRING. */
export const extensionOf = {
  basicConstraints: (value: Uint8Array, critical = true) => extension('551d13', value, critical),
  keyUsage: (value: Uint8Array, critical = true) => extension('551d0f', value, critical),
  extendedKeyUsage: (value: Uint8Array, critical = false) => extension('551d25', value, critical),
  subjectAltName: (value: Uint8Array, critical = false) => extension('551d11', value, critical),
  authorityInfoAccess: (value: Uint8Array) => extension('2b06010505070101', value),
  certificatePolicies: (value: Uint8Array) => extension('551d20', value),
  subjectKeyIdentifier: (value: Uint8Array) => extension('551d0e', value),
  authorityKeyIdentifier: (value: Uint8Array) => extension('551d23', value),
  crlDistributionPoints: (value: Uint8Array) => extension('551d1f', value),
  nameConstraints: (value: Uint8Array, critical = true) => extension('551d1e', value, critical),
  /** An object identifier under 1.3.6.1.4.1 that nobody has. */
  unknown: (critical: boolean) => extension('2b06010401860f0101', Buffer.of(5, 0), critical),
}
export const isCa = sequence(Buffer.of(1, 1, 0xff))
export const bits = (...octets: number[]) => der(0x03, Buffer.from(octets))
/** KeyUsage with one bit or more, as its BIT STRING: digitalSignature 0x80, keyEncipherment 0x20, keyCertSign 0x04 … */
export const usageBits = (octet: number) => bits(Math.min(7, trailingZeros(octet)), octet)

/** The DER of a certificate with these parts: one that is in order where nothing else is told. */
export function forgedCertificate(forgery: ForgedCertificate = {}): Buffer {
  const key = forgery.key ?? p256()
  const signer = forgery.signer ?? key
  const { algorithm, hash } = forgery.signature ?? signatures.ecdsaSha256
  const { version = 3, subject = commonNames('odd') } = forgery
  const tbs = sequence(
    ...(version === 1 ? [] : [der(0xa0, Buffer.of(2, 1, version - 1))]),
    der(0x02, forgery.serialNumber ?? Buffer.concat([Buffer.of(0x4a), randomBytes(8)])),
    algorithm,
    forgery.issuer ?? subject,
    sequence(
      forgery.notBefore ?? utcTime('200101000000Z'),
      forgery.notAfter ?? generalizedTime('99991231235959Z'),
    ),
    subject,
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    ...(forgery.extensions === undefined ? [] : [der(0xa3, sequence(...forgery.extensions))]),
  )
  return sequence(tbs, algorithm, der(0x03, Buffer.of(0), sign(hash, tbs, signer)))
}

function trailingZeros(octet: number): number {
  return octet === 0 ? 7 : 31 - Math.clz32(octet & -octet)
}
