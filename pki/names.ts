// The names in a certificate, read from its structure: printed subjects and SANs are ambiguous (CVE-2021-44532) and are
// never parsed. Tells what is there, several values included; whether that names anybody is decided elsewhere.
import { readOrThrow } from './certificate-facts.ts'
import { attributeTypes, type NameAttribute } from './distinguished-name.ts'
import type { GeneralName } from './general-names.ts'

export type CertificateNames = {
  /** Every common name of the subject, in whatever RDN it stands. */
  commonNames: readonly string[]
  /** Every serialNumber attribute of the subject, which is not that of the certificate: IEEE 802.1AR names devices by it. */
  serialNumbers: readonly string[]
  /** Every attribute of the subject whose value is a text, in order. */
  attributes: readonly NameAttribute[]
  sans: readonly GeneralName[]
}

/** Throws a `CertificateUnreadable`. */
export function namesOf(der: Buffer): CertificateNames {
  const { subject, subjectAltName } = readOrThrow(der)
  const attributes = subject.attributes.filter(({ isText }) => isText)
  const valuesOf = (oid: string) => attributes.filter(one => one.oid === oid).map(({ value }) => value)
  return {
    commonNames: valuesOf(attributeTypes.commonName),
    serialNumbers: valuesOf(attributeTypes.serialNumber),
    attributes,
    sans: subjectAltName ?? [],
  }
}
