// Reads a certificate (RFC 5280 §4.1) from its DER, whole and at once: a value with everything that is decided by, or what is
// wrong with the bytes. The one place where bytes that a stranger chose become facts of a certificate. Never throws.
import { readAsn1Time } from './asn1-time.ts'
import { type ExtensionValues, extensionName, readExtension } from './certificate-extensions.ts'
import {
  booleanOf,
  contentOf,
  type DerElement,
  DerError,
  elementAt,
  elementsOf,
  encodingOf,
  oidOf,
  smallIntegerOf,
  tags,
  wholeElement,
  withTag,
} from './der-reader.ts'
import { type NameAttribute, readName } from './distinguished-name.ts'
import type { SignatureAlgorithm } from './signature-policy.ts'

/** What is wrong with a document, and which part of it is. */
export type CertificateProblem = { path: string; message: string }

/** What a certificate says. Times are milliseconds since the epoch; they are never NaN. */
export type ReadCertificate = {
  version: 1 | 2 | 3
  /** As it stands, sign and leading zero included. */
  serialNumber: Buffer
  signatureAlgorithm: SignatureAlgorithm
  /** DER of the names, and their attributes. */
  issuer: { der: Buffer; attributes: readonly NameAttribute[] }
  subject: { der: Buffer; attributes: readonly NameAttribute[] }
  notBefore: number
  notAfter: number
  /** `value` is what the OCTET STRING holds. */
  extensions: readonly ReadExtension[]
} & ExtensionValues

type ReadExtension = { oid: string; critical: boolean; value: Buffer }

type CertificateReading = { certificate: ReadCertificate } | { problem: CertificateProblem }

/** Which part is read, for the fault if it cannot be. */
type Progress = { part: string }

/** The certificate that these bytes are, or the first thing in them that cannot be read. */
export function readCertificate(der: Buffer): CertificateReading {
  const progress: Progress = { part: '' }
  try {
    return { certificate: read(der, progress) }
  } catch (error) {
    // What another part of the runtime throws about such bytes is theirs too: they are refused, whatever it is.
    const why = error instanceof DerError ? error.message : 'it cannot be read'
    const path = progress.part === '' ? 'certificate' : `certificate.${progress.part}`
    return {
      problem: {
        path,
        message: progress.part === '' ? `it is not a DER-encoded X.509 certificate: ${why}` : why,
      },
    }
  }
}

function read(der: Buffer, progress: Progress): ReadCertificate {
  const [tbs, algorithm, signature, more] = elementsOf(der, wholeElement(der, tags.sequence))
  withTag(signature, tags.bitString)
  if (more !== undefined) throw new DerError('bytes follow the signature')
  const parts = [...elementsOf(der, withTag(tbs, tags.sequence))]
  const next = (part: string) => {
    progress.part = part
    return parts.shift()
  }
  const version = parts[0]?.tag === 0xa0 ? versionOf(der, next('version')!) : 1
  const serialNumber = contentOf(der, withTag(next('serialNumber'), tags.integer))
  if (serialNumber.length === 0) throw new DerError('it is empty')
  const inner = withTag(next('signature'), tags.sequence)
  if (!encodingOf(der, inner).equals(encodingOf(der, withTag(algorithm, tags.sequence)))) {
    throw new DerError('the signature algorithm is not the one it was signed with')
  }
  const signatureAlgorithm = algorithmOf(der, inner)
  const issuer = nameOf(der, next('issuer'))
  const [begins, ends, other] = elementsOf(der, withTag(next('validity'), tags.sequence))
  if (other !== undefined) throw new DerError('it holds more than two times')
  const [notBefore, notAfter] = [timeOf(der, begins, 'notBefore'), timeOf(der, ends, 'notAfter')]
  const subject = nameOf(der, next('subject'))
  withTag(next('subjectPublicKeyInfo'), tags.sequence)
  progress.part = 'extensions'
  // issuerUniqueID and subjectUniqueID
  for (const tag of [0x81, 0x82]) if (parts[0]?.tag === tag) parts.shift()
  const values: ExtensionValues = {
    basicConstraints: null,
    keyUsage: null,
    extendedKeyUsage: null,
    subjectAltName: null,
  }
  const tagged = parts.shift()
  if (parts.length > 0) throw new DerError('more follows them')
  const extensions = tagged === undefined ? [] : extensionsOf(der, withTag(tagged, 0xa3), values, progress)
  return {
    version,
    serialNumber,
    signatureAlgorithm,
    issuer,
    subject,
    notBefore,
    notAfter,
    extensions,
    ...values,
  }
}

function versionOf(der: Buffer, tagged: DerElement): 1 | 2 | 3 {
  const number = elementAt(der, tagged.content, tagged.end)
  const version = smallIntegerOf(der, withTag(number, tags.integer)) + 1
  if (number.end !== tagged.end || (version !== 1 && version !== 2 && version !== 3)) {
    throw new DerError('it is none of 1, 2 and 3')
  }
  return version
}

function algorithmOf(der: Buffer, identifier: DerElement): SignatureAlgorithm {
  const [oid, parameters] = elementsOf(der, identifier)
  return { oid: oidOf(der, oid), parameters: parameters === undefined ? null : encodingOf(der, parameters) }
}

function nameOf(der: Buffer, element: DerElement | undefined): ReadCertificate['subject'] {
  const name = encodingOf(der, withTag(element, tags.sequence))
  return { der: name, attributes: readName(name) }
}

function timeOf(der: Buffer, element: DerElement | undefined, which: string): number {
  const at = element === undefined ? null : readAsn1Time(element.tag, contentOf(der, element))
  if (at === null) throw new DerError(`${which} is no date as RFC 5280 §4.1.2.5 has it`)
  return at
}

function extensionsOf(
  der: Buffer,
  tagged: DerElement,
  values: ExtensionValues,
  progress: Progress,
): ReadExtension[] {
  const list = withTag(elementAt(der, tagged.content, tagged.end), tags.sequence)
  if (list.end !== tagged.end) throw new DerError('more follows them')
  const seen = new Map<string, ReadExtension>()
  for (const element of elementsOf(der, list)) {
    progress.part = 'extensions'
    const [id, ...rest] = elementsOf(der, withTag(element, tags.sequence))
    const oid = oidOf(der, id)
    progress.part = `extensions.${extensionName(oid)}`
    const critical = rest[0]?.tag === tags.boolean && booleanOf(der, rest.shift())
    const value = contentOf(der, withTag(rest.shift(), tags.octetString))
    if (rest.length > 0) throw new DerError('more follows its value')
    if (seen.has(oid)) throw new DerError('it is there twice')
    readExtension(oid, value, values)
    seen.set(oid, { oid, critical, value })
  }
  return [...seen.values()]
}
