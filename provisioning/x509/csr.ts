// Reads a PKCS #10 certification request (RFC 2986) and takes its public key, nothing else.
// Subject, SAN, key usage and CA bits that a CSR asks for are never even looked at: the profile decides them.
import 'reflect-metadata'
import type { KeyObject } from 'node:crypto'
import { CertificationRequest } from '@peculiar/asn1-csr'
import { AsnConvert } from '@peculiar/asn1-schema'
import * as x509 from '@peculiar/x509'
import { CSR_CHARACTERS_MAX, pemBlocks } from '../../pki/pem.ts'
import { weaknessOfSignature } from '../../pki/signature-policy.ts'
import type { Fault } from '../http/problem.ts'
import { type ProvenKey, provenKey, readPublicKey, verifiesSimply, weaknessOf } from './proven-key.ts'

export type CsrReading =
  | { accepted: true; key: ProvenKey }
  | { accepted: false; reason: 'csr_invalid' | 'key_unacceptable'; faults: Fault[] }

/** Parses the request, checks the key, and verifies the proof of possession. Never throws on bad input. */
export async function readCsr(pem: string): Promise<CsrReading> {
  try {
    return await validateCsr(pem)
  } catch {
    // Whatever a library throws about a request is what is wrong with the request.
    return refused('csr_invalid', 'csr', 'it cannot be read')
  }
}

async function validateCsr(pem: string): Promise<CsrReading> {
  const der = onlyBlock(pem)
  if (typeof der === 'string') return refused('csr_invalid', 'csr', der)
  const csr = parse(der)
  if (csr === null) {
    return refused(
      'csr_invalid',
      'csr',
      'it is not a PKCS #10 certification request (openssl req -new makes one)',
    )
  }
  const key = publicKeyOf(csr)
  if (key === null) {
    return refused('csr_invalid', 'csr.subjectPublicKeyInfo', 'it holds no public key that can be read')
  }
  const weakness = weaknessOf(key)
  if (weakness !== null) return refused('key_unacceptable', 'csr.subjectPublicKeyInfo', weakness)
  const { algorithm: oid, parameters } = csr.signatureAlgorithm
  const algorithm = { oid, parameters: parameters ? Buffer.from(parameters) : null }
  const unsafe = weaknessOfSignature(algorithm)
  if (unsafe !== null) return refused('csr_invalid', 'csr.signatureAlgorithm', unsafe)
  if (!(await verifies(csr, key, der))) {
    return refused('csr_invalid', 'csr.signature', 'the signature does not verify with the public key in it')
  }
  return { accepted: true, key: provenKey(key) }
}

/** DER of the one request in the text, or what is wrong with the text. */
function onlyBlock(pem: string): Buffer | string {
  if (pem.length > CSR_CHARACTERS_MAX) return `it is longer than ${CSR_CHARACTERS_MAX} characters`
  if (pem.includes('PRIVATE KEY')) {
    return 'it contains a private key: a CSR never does. Make a new key pair and keep the key on the device'
  }
  const blocks = [...pemBlocks(pem, 'CERTIFICATE REQUEST'), ...pemBlocks(pem, 'NEW CERTIFICATE REQUEST')]
  // One that begins and never ends hides what is meant.
  const begun = pem.match(/-----BEGIN (NEW )?CERTIFICATE REQUEST-----/g)?.length ?? 0
  if (blocks.length !== 1 || begun !== 1 || blocks[0] === undefined) {
    return `it must hold exactly one PEM block BEGIN CERTIFICATE REQUEST, it holds ${Math.max(begun, blocks.length)}`
  }
  return blocks[0]
}

function parse(der: Buffer): CertificationRequest | null {
  try {
    // Bytes behind the request would be signed by nobody.
    return derLength(der) === der.length ? AsnConvert.parse(der, CertificationRequest) : null
  } catch {
    return null
  }
}

/** Octets that the outermost element says it takes; -1 where it does not say in DER. */
function derLength(der: Buffer): number {
  const first = der[1] ?? 0
  if (first < 0x80) return 2 + first
  const octets = first & 0x7f
  if (octets === 0 || octets > 3 || der.length < 2 + octets) return -1
  return 2 + octets + der.readUIntBE(2, octets)
}

function publicKeyOf(csr: CertificationRequest): KeyObject | null {
  try {
    return readPublicKey(Buffer.from(AsnConvert.serialize(csr.certificationRequestInfo.subjectPKInfo)))
  } catch {
    return null
  }
}

async function verifies(csr: CertificationRequest, key: KeyObject, der: Buffer): Promise<boolean> {
  try {
    const signed = csr.certificationRequestInfoRaw
    const oid = csr.signatureAlgorithm.algorithm
    const simply =
      signed === undefined
        ? null
        : verifiesSimply(key, { oid, signed: Buffer.from(signed), signature: Buffer.from(csr.signature) })
    // With parameters of their own, as RSASSA-PSS has: the library knows them.
    return simply ?? (await new x509.Pkcs10CertificateRequest(new Uint8Array(der)).verify())
  } catch {
    return false
  }
}

function refused(reason: 'csr_invalid' | 'key_unacceptable', path: string, message: string): CsrReading {
  return { accepted: false, reason, faults: [{ path, message }] }
}
