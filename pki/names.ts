// The names in a certificate, read from its structure: printed subjects and SANs are ambiguous (CVE-2021-44532) and are
// never parsed. Tells what is there, several values included; whether that names anybody is decided elsewhere.
import { readOrThrow } from './certificate-facts.ts'
import { attributeTypes } from './distinguished-name.ts'
import type { GeneralName } from './general-names.ts'

export type CertificateNames = {
  /** Every common name of the subject, in whatever RDN it stands. */
  commonNames: readonly string[]
  /** Every serialNumber attribute of the subject, which is not that of the certificate: IEEE 802.1AR names devices by it. */
  serialNumbers: readonly string[]
  sans: readonly GeneralName[]
}

/** Throws a `CertificateUnreadable`. */
export function namesOf(der: Buffer): CertificateNames {
  const { subject, subjectAltName } = readOrThrow(der)
  const valuesOf = (oid: string) =>
    subject.attributes.filter(one => one.oid === oid && one.isText).map(({ value }) => value)
  return {
    commonNames: valuesOf(attributeTypes.commonName),
    serialNumbers: valuesOf(attributeTypes.serialNumber),
    sans: subjectAltName ?? [],
  }
}
