// Whether a certificate somebody else made may go on the roll at all. Judges the DER; knows no registry.
import 'reflect-metadata'
import { X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { type CertificateFacts, certificateFacts } from './certificate-facts.ts'
import { ACCEPTABLE_KEYS, isAcceptableKey } from './key-policy.ts'
import { weaknessOfKey } from './weak-keys.ts'

export type LeafFault = { path: string; message: string }

const SERIAL_OCTETS_MAX = 20

/**
 * What forbids registering this certificate for a device; empty where nothing does (RFC 5280 §4.1, §4.2.1).
 * `pinned` permits the CA bit on a self-signed certificate: it is trusted for itself alone.
 */
export function judgeLeaf(der: Buffer, options: { pinned: boolean }): LeafFault[] {
  const parsed = parse(der)
  if (parsed === null) return [{ path: 'certificate', message: 'it is not a DER-encoded X.509 certificate' }]
  const { facts, certificate } = parsed
  const faults: LeafFault[] = []
  const fault = (path: string, message: string) => faults.push({ path, message })
  const selfSigned = facts.subject === facts.issuer

  if (versionOf(der) !== 3) fault('certificate.version', 'it must be X.509 v3')
  if (facts.isCa && !(options.pinned && selfSigned))
    fault('certificate.basicConstraints', 'CA must be FALSE: a device is an end entity')
  const usage = certificate.getExtension(x509.KeyUsagesExtension)
  if (usage && (usage.usages & x509.KeyUsageFlags.keyCertSign) !== 0 && !(options.pinned && selfSigned)) {
    fault('certificate.keyUsage', 'keyCertSign is for CAs')
  }
  if (!facts.clientAuth) fault('certificate.extendedKeyUsage', 'it must contain clientAuth')
  faults.push(...serialFaults(certificate.serialNumber))
  if (certificate.subject === '' && !certificate.getExtension(x509.SubjectAlternativeNameExtension)) {
    fault('certificate.subject', 'an empty subject needs a subjectAltName')
  }
  if (certificate.subject.includes('\0') || nulInNames(certificate)) {
    fault('certificate.subject', 'a name holds a NUL character')
  }
  if (!isAcceptableKey(facts.keyType)) {
    fault('certificate.subjectPublicKeyInfo', `the key is ${facts.keyType}: use ${ACCEPTABLE_KEYS}`)
  } else {
    const weakness = weaknessOfKey(new X509Certificate(der).publicKey)
    if (weakness !== null) fault('certificate.subjectPublicKeyInfo', weakness)
  }
  return faults
}

/** What is wrong with a serial number, in hex (RFC 5280 §4.1.2.2). */
export function serialFaults(serialNumber: string): LeafFault[] {
  const path = 'certificate.serialNumber'
  const octets = Buffer.from(serialNumber, 'hex')
  const faults: LeafFault[] = []
  if (octets.every(octet => octet === 0)) faults.push({ path, message: 'it must not be zero' })
  if (octets.length > SERIAL_OCTETS_MAX) faults.push({ path, message: 'it must be 20 octets or fewer' })
  return faults
}

function parse(der: Buffer): { facts: CertificateFacts; certificate: x509.X509Certificate } | null {
  try {
    return { facts: certificateFacts(der), certificate: new x509.X509Certificate(new Uint8Array(der)) }
  } catch {
    return null
  }
}

/** TBSCertificate begins with [0] EXPLICIT Version where the version is not the default v1 (RFC 5280 §4.1.2.1). */
export function versionOf(der: Buffer): number {
  const tbs = contentOffset(der, contentOffset(der, 0))
  return der[tbs] === 0xa0 ? (der[tbs + 4] ?? 0) + 1 : 1
}

function contentOffset(der: Buffer, offset: number): number {
  const length = der[offset + 1] ?? 0
  return offset + 2 + (length & 0x80 ? length & 0x7f : 0)
}

function nulInNames(certificate: x509.X509Certificate): boolean {
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? []
  return names.some(name => name.value.includes('\0'))
}
