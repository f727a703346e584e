// The certificate of an endorsement key (TCG EK Credential Profile 2.5, §3): whether a manufacturer on record vouches for it, and what it
// says of the TPM. It names no device: subjects and names are the same for many TPMs.

import type { KeyObject } from 'node:crypto'
import { X509Certificate } from 'node:crypto'
import type { TpmModel } from '../../db/enrollment/endorsement-keys.ts'
import { type Issuer, issuerLine } from '../../db/issuers/issuer-store.ts'
import { extensionIds } from '../../pki/certificate-extensions.ts'
import { keyTypeOf, spkiHashOf } from '../../pki/certificate-facts.ts'
import { type ReadCertificate, readCertificate } from '../../pki/certificate-reader.ts'
import { findIssuer, isAnchored, isSelfSigned } from '../../pki/chain.ts'
import { readOrNull } from '../../pki/foreign-bytes.ts'
import { weaknessOfSignature } from '../../pki/signature-policy.ts'
import { weaknessOfKey } from '../../pki/weak-keys.ts'
import type { Fault } from '../http/problem.ts'

export type EndorsementCertificate = {
  key: KeyObject
  keyType: string
  /** SHA-256 of its SubjectPublicKeyInfo, hex. */
  ekHash: string
  model: TpmModel
  /** The manufacturer that vouches for it, or why none does. */
  trust:
    | { issuerId: string; serialNumber: string; pending: boolean; known: true }
    | { known: false; because: string }
}

/** tcg-kp-EKCertificate. */
const EK_USAGE = '2.23.133.8.1'
/** tcg-at-tpmManufacturer, -tpmModel and -tpmVersion. */
const modelAttributes = { maker: '2.23.133.2.1', model: '2.23.133.2.2', version: '2.23.133.2.3' } as const
const understood = new Set<string>([
  extensionIds.basicConstraints,
  extensionIds.keyUsage,
  extensionIds.extendedKeyUsage,
  extensionIds.subjectAltName,
  extensionIds.certificatePolicies,
])
const CLOCK_SKEW_MS = 5 * 60_000
const TEXT_MAX = 64

type Parts = {
  issuers: Map<string, Issuer>
  tpmAnchor: (issuerId: string) => { mode: 'off' | 'pending' | 'active' }
  now: number
}

/** The faults are those of the document alone; whether anybody trusts it is in `trust`. Never throws. */
export function readEndorsementCertificate(
  der: Buffer,
  path: string,
  parts: Parts,
): EndorsementCertificate | { faults: Fault[] } {
  const reading = readCertificate(der)
  if ('problem' in reading)
    return { faults: [{ ...reading.problem, path: reading.problem.path.replace(/^certificate/, path) }] }
  const read = readOrNull(() => {
    const certificate = new X509Certificate(der)
    // What OpenSSL read and what was given must be the same octets.
    if (!certificate.raw.equals(der)) return null
    return {
      certificate,
      key: certificate.publicKey,
      keyType: keyTypeOf(certificate.publicKey),
      ekHash: spkiHashOf(certificate.publicKey),
    }
  })
  if (read === null) return { faults: [{ path, message: 'it holds no public key that can be read' }] }
  const { certificate, key, keyType, ekHash } = read
  const faults = faultsOf(reading.certificate, key, path)
  if (faults.length > 0) return { faults }
  const trust = trustIn(certificate, reading.certificate, parts)
  return { key, keyType, ekHash, model: modelIn(reading.certificate), trust }
}

function faultsOf(certificate: ReadCertificate, key: KeyObject, path: string): Fault[] {
  const faults: Fault[] = []
  const fault = (part: string, message: string) => faults.push({ path: `${path}.${part}`, message })
  const { basicConstraints, extendedKeyUsage, keyUsage } = certificate
  if (basicConstraints?.isCa === true)
    fault('basicConstraints', 'CA must be FALSE: it is the certificate of a key that signs nothing')
  if (!extendedKeyUsage?.includes(EK_USAGE))
    fault(
      'extendedKeyUsage',
      `it must contain ${EK_USAGE} (tcg-kp-EKCertificate): this is no endorsement certificate`,
    )
  const needed = key.asymmetricKeyType === 'rsa' ? 'keyEncipherment' : 'keyAgreement'
  if (keyUsage !== null && !keyUsage.has(needed)) fault('keyUsage', `it must contain ${needed}`)
  for (const { oid, critical } of certificate.extensions)
    if (critical && !understood.has(oid))
      fault('extensions', `the critical extension ${oid} is not understood here`)
  const weak = weaknessOfSignature(certificate.signatureAlgorithm)
  if (weak !== null) fault('signatureAlgorithm', weak)
  const weakKey = weaknessOfKey(key)
  if (weakKey !== null) fault('subjectPublicKeyInfo', weakKey)
  return faults
}

function trustIn(
  certificate: X509Certificate,
  { notBefore, notAfter }: ReadCertificate,
  { issuers, tpmAnchor, now }: Parts,
): EndorsementCertificate['trust'] {
  const unknown = (because: string) => ({ known: false as const, because })
  const issuer = issuers.get(readOrNull(() => findIssuer(certificate, issuers.values()))?.id ?? '')
  if (issuer === undefined || issuer.kind !== 'foreign')
    return unknown(
      readOrNull(() => isSelfSigned(certificate))
        ? 'the endorsement certificate is self-signed'
        : 'no trust anchor signed the endorsement certificate',
    )
  const { mode } = tpmAnchor(issuer.id)
  if (mode === 'off') return unknown(`${issuer.name} signed it, and is not set to vouch for TPMs`)
  const line = issuerLine(issuer.id, issuers)
  if (line.some(({ enabled }) => !enabled)) return unknown('its manufacturer is disabled')
  if (line.some(({ revoked }) => revoked)) return unknown('the CA of its manufacturer was revoked')
  if (line.some(one => one.notAfter < now)) return unknown('the CA of its manufacturer has expired')
  if (!isAnchored(issuer, issuers)) return unknown('its chain does not verify')
  if (notBefore - CLOCK_SKEW_MS > now || notAfter < now)
    return unknown('the endorsement certificate is not valid now')
  const serialNumber = certificate.serialNumber.toLowerCase().replace(/^(00)+(?=..)/, '')
  return { known: true, issuerId: issuer.id, serialNumber, pending: mode === 'pending' }
}

/** Manufacturer, model and version stand in a directory name of the subjectAltName, or in the subject. */
function modelIn({ subject, subjectAltName }: ReadCertificate): TpmModel {
  const pairs = subject.attributes.map(({ oid, value }): [string, string] => [oid, value])
  for (const { type, value } of subjectAltName ?? []) {
    if (type !== 'directory') continue
    // As comparable names are written: [relative, oid, value].
    for (const [, oid, text] of JSON.parse(value) as [number, string, string][]) pairs.push([oid, text])
  }
  const textOf = (oid: string) => {
    const found = pairs.find(([type]) => type === oid)?.[1]
    return found === undefined ? null : found.replace(/\p{Cc}/gu, '\u{fffd}').slice(0, TEXT_MAX)
  }
  const maker = textOf(modelAttributes.maker)
  return {
    maker: maker === null ? null : vendorOf(maker),
    model: textOf(modelAttributes.model),
    version: textOf(modelAttributes.version),
  }
}

/** `id:49465800` is the four characters of a vendor ID (TCG Vendor ID Registry) in hex: IFX. */
function vendorOf(text: string): string {
  const hex = /^id:([0-9a-f]{8})$/i.exec(text)?.[1]
  const name = hex === undefined ? '' : Buffer.from(hex, 'hex').toString('latin1').replace(/\0+$/, '').trim()
  return /^[A-Za-z0-9 ._-]{1,4}$/.test(name) ? name : text
}
