// What a device shows of its TPM: the public area of its own key, and its endorsement key with or without a certificate. Read and validated
// here; whether anybody vouches for it is decided in `tpm-enrollment.ts`.

import type { TpmModel } from '../../db/enrollment/endorsement-keys.ts'
import { certificateBlocks } from '../../pki/pem.ts'
import type { Fault } from '../http/problem.ts'
import { type EndorsementCertificate, readEndorsementCertificate } from './endorsement-certificate.ts'
import { deviceKeyFaults, endorsementKeyFaults } from './key-rules.ts'
import { type CredentialKey, credentialKeyOf, templateOf } from './make-credential.ts'
import { readPublicArea, type TpmPublic } from './public-area.ts'

/** Base64 of a TPM2B_PUBLIC; of DER, or PEM, for the certificate. */
export type TpmDocuments = {
  key: string
  endorsementKey?: string | undefined
  endorsementCertificate?: string | undefined
}

export type ShownTpm = {
  key: TpmPublic
  endorsement: CredentialKey
  ekHash: string
  model: TpmModel
  trust: EndorsementCertificate['trust']
}

type CertificateParts = Parameters<typeof readEndorsementCertificate>[2]

const NO_CERTIFICATE = { known: false, because: 'no endorsement certificate was sent' } as const
const nobody: TpmModel = { maker: null, model: null, version: null }

/** Gives all that is wrong at once. Never throws. */
export function readShownTpm(
  documents: TpmDocuments,
  parts: CertificateParts,
): ShownTpm | { faults: Fault[] } {
  const key = areaIn(documents.key, 'key')
  const faults = 'faults' in key ? [...key.faults] : deviceKeyFaults(key.area, 'key')
  const endorsement = endorsementIn(documents, parts)
  if ('faults' in endorsement) faults.push(...endorsement.faults)
  if ('faults' in key || 'faults' in endorsement) return { faults }
  if (key.area.spkiHash === endorsement.ekHash)
    faults.push({ path: 'key', message: 'it is the endorsement key itself: make a key of the device' })
  return faults.length > 0 ? { faults } : { key: key.area, ...endorsement }
}

function endorsementIn(
  { endorsementKey, endorsementCertificate }: TpmDocuments,
  parts: CertificateParts,
): Omit<ShownTpm, 'key'> | { faults: Fault[] } {
  const area = endorsementKey === undefined ? null : endorsementAreaIn(endorsementKey)
  if (area !== null && 'faults' in area) return area
  if (endorsementCertificate === undefined) {
    if (area === null) return missing('send endorsementCertificate, endorsementKey, or both')
    return { endorsement: credentialKeyOf(area), ekHash: area.spkiHash, model: nobody, trust: NO_CERTIFICATE }
  }
  const path = 'endorsementCertificate'
  const der = certificateIn(endorsementCertificate)
  if (der === null)
    return { faults: [{ path, message: 'it is neither one PEM block CERTIFICATE nor base64 of DER' }] }
  const certificate = readEndorsementCertificate(der, path, parts)
  if ('faults' in certificate) return certificate
  const { key, keyType, ekHash, model, trust } = certificate
  if (area !== null && area.spkiHash !== ekHash)
    return {
      faults: [
        {
          path: 'endorsementKey',
          message: 'it is not the key of endorsementCertificate: they are of two TPMs',
        },
      ],
    }
  const endorsement = area === null ? templateOf(key, keyType) : credentialKeyOf(area)
  if (endorsement === null)
    return {
      faults: [
        {
          path,
          message: `its key is ${keyType}: use the certificate of an endorsement key of RSA 2048, P-256 or P-384`,
        },
      ],
    }
  return { endorsement, ekHash, model, trust }
}

function endorsementAreaIn(text: string): TpmPublic | { faults: Fault[] } {
  const reading = areaIn(text, 'endorsementKey')
  if ('faults' in reading) return reading
  const faults = endorsementKeyFaults(reading.area, 'endorsementKey')
  return faults.length > 0 ? { faults } : reading.area
}

function areaIn(text: string, path: string): { area: TpmPublic } | { faults: Fault[] } {
  const bytes = base64In(text)
  if (bytes === null) return { faults: [{ path, message: 'it is not base64' }] }
  const reading = readPublicArea(bytes, path)
  return 'fault' in reading ? { faults: [reading.fault] } : reading
}

function certificateIn(text: string): Buffer | null {
  if (!text.trimStart().startsWith('-----BEGIN ')) return trimmedDer(base64In(text))
  const blocks = certificateBlocks(text)
  return blocks.length === 1 ? blocks[0]! : null
}

/** NV storage of a TPM may be larger than the certificate in it: what follows the DER is padding of ff or 00. */
function trimmedDer(bytes: Buffer | null): Buffer | null {
  if (bytes === null || bytes.length < 4 || bytes[0] !== 0x30 || bytes[1] !== 0x82) return bytes
  const end = 4 + bytes.readUInt16BE(2)
  const padding = bytes.subarray(end)
  const isPadding = padding.every(octet => octet === 0xff) || padding.every(octet => octet === 0)
  return isPadding ? bytes.subarray(0, end) : bytes
}

/** Line breaks are tolerated; anything else that is not base64 is not skipped. */
export function base64In(text: string): Buffer | null {
  const compact = text.replace(/\s+/g, '')
  return /^[A-Za-z0-9+/]+={0,2}$/.test(compact) && compact.length % 4 === 0
    ? Buffer.from(compact, 'base64')
    : null
}

function missing(message: string): { faults: Fault[] } {
  return { faults: [{ path: 'endorsementCertificate', message }] }
}
