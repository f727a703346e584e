// Whether a CA certificate of somebody else may become a trust anchor. Judges the DER and the clock; knows no registry.
import 'reflect-metadata'
import { X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { certificateFacts } from './certificate-facts.ts'
import { isSelfSigned } from './chain.ts'
import { ACCEPTABLE_KEYS, isAcceptableKey } from './key-policy.ts'
import { type LeafFault, serialFaults, versionOf } from './leaf-policy.ts'
import { weaknessOfKey } from './weak-keys.ts'

const CLOCK_SKEW_MS = 5 * 60_000
/** What we understand where it is critical: basic constraints, key usage, policies, extended key usage. */
const understood = new Set(['2.5.29.19', '2.5.29.15', '2.5.29.32', '2.5.29.37'])
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_USAGE = '2.5.29.37.0'

/** What forbids trusting this CA; empty where nothing does (RFC 5280 §4.2.1.3, §4.2.1.9, §6.1). `now` in ms. */
export function judgeAnchor(der: Buffer, now: number): LeafFault[] {
  const parsed = parse(der)
  if (parsed === null) return [{ path: 'certificate', message: 'it is not a DER-encoded X.509 certificate' }]
  const { node, certificate } = parsed
  const facts = certificateFacts(node)
  const faults: LeafFault[] = serialFaults(certificate.serialNumber)
  const fault = (path: string, message: string) => faults.push({ path: `certificate.${path}`, message })

  if (versionOf(der) !== 3) fault('version', 'it must be X.509 v3')
  if (!facts.isCa) fault('basicConstraints', 'CA must be TRUE: a trust anchor signs others')
  const usage = certificate.getExtension(x509.KeyUsagesExtension)
  if (!usage || (usage.usages & x509.KeyUsageFlags.keyCertSign) === 0) {
    fault('keyUsage', 'it must contain keyCertSign')
  }
  const purposes = certificate.getExtension(x509.ExtendedKeyUsageExtension)?.usages
  if (purposes && !purposes.includes(CLIENT_AUTH) && !purposes.includes(ANY_USAGE)) {
    fault('extendedKeyUsage', 'it must permit clientAuth, or say nothing')
  }
  const strange = certificate.extensions.find(({ critical, type }) => critical && !understood.has(type))
  // Name constraints, for one: a chain is followed here without them, so trusting this CA would trust more than it may.
  if (strange) fault('extensions', `the critical extension ${strange.type} is not enforced here`)
  if (facts.subject === undefined || certificate.subject === '') fault('subject', 'it must not be empty')
  if (certificate.subject.includes('\0')) fault('subject', 'a name holds a NUL character')
  if (!isAcceptableKey(facts.keyType)) {
    fault('subjectPublicKeyInfo', `the key is ${facts.keyType}: use ${ACCEPTABLE_KEYS}`)
  } else {
    const weakness = weaknessOfKey(node.publicKey)
    if (weakness !== null) fault('subjectPublicKeyInfo', weakness)
  }
  if (facts.subject === facts.issuer && !isSelfSigned(node)) {
    fault('signature', 'it names itself as issuer, and its key did not sign it')
  }
  if (facts.notAfter <= now) fault('validity', `it expired at ${new Date(facts.notAfter).toISOString()}`)
  if (facts.notBefore - CLOCK_SKEW_MS > now) {
    fault('validity', `it is not valid before ${new Date(facts.notBefore).toISOString()}`)
  }
  return faults
}

function parse(der: Buffer): { node: X509Certificate; certificate: x509.X509Certificate } | null {
  try {
    const node = new X509Certificate(der)
    // What OpenSSL read and what was sent must be the same bytes.
    if (!node.raw.equals(der)) return null
    return { node, certificate: new x509.X509Certificate(new Uint8Array(der)) }
  } catch {
    return null
  }
}
