// Reads OCSP requests (RFC 6960 §4.1) from strangers: bounded in bytes, certificates and nonce. Pure.
// Ignores signatures on requests: every client gets the same answer.
import { type CertID, OCSPRequest } from '@peculiar/asn1-ocsp'
import { AsnConvert } from '@peculiar/asn1-schema'
import { tags, wholeElement } from '../../pki/der-reader.ts'

/** What names one certificate: hashes of its issuer, in hex, and its serial number. `der` is the CertID as it came. */
export type CertIdentifier = {
  hash: string
  issuerNameHash: string
  issuerKeyHash: string
  serialNumber: string
  der: Buffer
}
/** `nonce` is the value of the extension as it came: an OCTET STRING. */
export type OcspQuestion = { certificates: CertIdentifier[]; nonce: Buffer | null }

const REQUEST_BYTES_MAX = 4 * 1024
const CERTIFICATES_MAX = 16
const NONCE_OID = '1.3.6.1.5.5.7.48.1.2'
/** RFC 9654 §2.1, with the OCTET STRING around it. */
const NONCE_BYTES_MAX = 128 + 3
const SERIAL_OCTETS_MAX = 20

/** Null where it is not a request that can be answered. Never throws. */
export function readOcspRequest(der: Buffer): OcspQuestion | null {
  if (der.length === 0 || der.length > REQUEST_BYTES_MAX) return null
  try {
    wholeElement(der, tags.sequence)
    const { requestList, requestExtensions = [] } = AsnConvert.parse(der, OCSPRequest).tbsRequest
    if (requestList.length === 0 || requestList.length > CERTIFICATES_MAX) return null
    const certificates = requestList.map(({ reqCert }) => identifierOf(reqCert))
    if (certificates.includes(null)) return null
    const extension = requestExtensions.find(({ extnID }) => extnID === NONCE_OID)
    const nonce = extension === undefined ? null : Buffer.from(extension.extnValue.buffer)
    if (nonce !== null && !isNonce(nonce)) return null
    return { certificates: certificates as CertIdentifier[], nonce }
  } catch {
    return null
  }
}

function identifierOf(reqCert: CertID): CertIdentifier | null {
  const serial = Buffer.from(reqCert.serialNumber)
  const positive = serial[0] === 0 ? serial.subarray(1) : serial
  if (positive.length === 0 || positive.length > SERIAL_OCTETS_MAX || (serial[0] ?? 0) >= 0x80) return null
  return {
    hash: reqCert.hashAlgorithm.algorithm,
    issuerNameHash: Buffer.from(reqCert.issuerNameHash.buffer).toString('hex'),
    issuerKeyHash: Buffer.from(reqCert.issuerKeyHash.buffer).toString('hex'),
    serialNumber: positive.toString('hex'),
    der: Buffer.from(AsnConvert.serialize(reqCert)),
  }
}

function isNonce(value: Buffer): boolean {
  return value[0] === 0x04 && value.length > 2 && value.length <= NONCE_BYTES_MAX
}
