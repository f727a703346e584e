// Post-quantum keys and what is signed with them, written DER by DER: certificates of devices and CAs, requests, CRLs.
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { toPem } from '../../pki/pem.ts'
import { forgedPem } from '../provisioning/x509/csr-forge.ts'
import type { Identity } from './authority.ts'
import {
  bits,
  commonNames,
  der,
  extensionOf,
  forgedCertificate,
  generalizedTime,
  isCa,
  oid,
  sequence,
  usageBits,
  utcTime,
} from './certificate-forge.ts'

export const mlDsa = {
  'ml-dsa-44': '608648016503040311',
  'ml-dsa-65': '608648016503040312',
  'ml-dsa-87': '608648016503040313',
  'slh-dsa-sha2-128s': '608648016503040314',
} as const
export type PqKeyType = keyof typeof mlDsa
export const mlDsaTypes = ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const

export const pqKey = (type: PqKeyType): KeyObject => generateKeyPairSync(type as 'ml-dsa-65').privateKey
export const keyPem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }) as string

const algorithmOf = (key: KeyObject) => {
  const id = mlDsa[key.asymmetricKeyType as PqKeyType]
  return id === undefined
    ? { algorithm: sequence(oid('2a8648ce3d040302')), hash: 'sha256' }
    : { algorithm: sequence(oid(id)), hash: null }
}

/** A CA with its key; signs itself where no other does. */
export type PqAuthority = { name: string; key: KeyObject; der: Buffer; certificate: string }

export function pqAuthority(name: string, key: KeyObject): PqAuthority {
  const extensions = [extensionOf.basicConstraints(isCa), extensionOf.keyUsage(usageBits(0x06))]
  const bytes = forgedCertificate({
    subject: commonNames(name),
    key,
    extensions,
    signature: algorithmOf(key),
  })
  return { name, key, der: bytes, certificate: toPem(bytes, 'CERTIFICATE') }
}

/** A device's certificate; signed by its own key where no CA is told. */
export function pqLeaf(name: string, key: KeyObject, ca: { name: string; key: KeyObject } | null): Identity {
  const bytes = forgedCertificate({
    subject: commonNames(name),
    key,
    extensions: [
      extensionOf.basicConstraints(sequence()),
      extensionOf.keyUsage(usageBits(0x80)),
      extensionOf.extendedKeyUsage(sequence(oid('2b06010505070302'))),
    ],
    signature: algorithmOf(ca?.key ?? key),
    ...(ca === null ? {} : { issuer: commonNames(ca.name), signer: ca.key }),
  })
  return { certificate: toPem(bytes, 'CERTIFICATE'), key: keyPem(key), der: bytes }
}

/** A request (PEM) for this key, signed with it. */
export function pqRequest(name: string, key: KeyObject, attributes: Uint8Array[] = []): string {
  return forgedPem({ subject: commonNames(name), key, attributes, ...algorithmOf(key) })
}

/** A CRL (DER) of this CA that lists these serial numbers, in hex. */
export function pqCrl(ca: PqAuthority, serialNumbers: readonly string[]): Buffer {
  const { algorithm, hash } = algorithmOf(ca.key)
  const listed = serialNumbers.map(serial =>
    sequence(der(0x02, Buffer.from(serial, 'hex')), utcTime('260101000000Z')),
  )
  const number = sequence(
    oid('551d14'),
    der(0x04, der(0x02, Buffer.concat([Buffer.of(0x4a), randomBytes(8)]))),
  )
  const list = sequence(
    Buffer.of(2, 1, 1),
    algorithm,
    commonNames(ca.name),
    utcTime('260101000000Z'),
    generalizedTime('20991231235959Z'),
    ...(listed.length === 0 ? [] : [sequence(...listed)]),
    der(0xa0, sequence(number)),
  )
  return sequence(list, algorithm, bits(0, ...sign(hash, list, ca.key)))
}

/** A SubjectPublicKeyInfo of ML-DSA-65 whose t1 holds these octets. */
export function mlDsaSpki(t1: Buffer): Buffer {
  const key = Buffer.concat([Buffer.of(0), randomBytes(32), t1])
  return sequence(sequence(oid(mlDsa['ml-dsa-65'])), der(0x03, key))
}
