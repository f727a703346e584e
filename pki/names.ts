// The names in a certificate, read from its structure: printed subjects and SANs are ambiguous (CVE-2021-44532) and are
// never parsed. Tells what is there, several values included; whether that names anybody is decided elsewhere.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

export type CertificateNames = {
  /** Every common name of the subject, in whatever RDN it stands. */
  commonNames: readonly string[]
  /** Every serialNumber attribute of the subject, which is not that of the certificate: IEEE 802.1AR names devices by it. */
  serialNumbers: readonly string[]
  sans: readonly { type: string; value: string }[]
}

/** Throws where the bytes are no certificate. */
export function namesOf(der: Buffer): CertificateNames {
  const certificate = new x509.X509Certificate(new Uint8Array(der))
  const extension = certificate.getExtension(x509.SubjectAlternativeNameExtension)
  return {
    commonNames: certificate.subjectName.getField('CN'),
    serialNumbers: certificate.subjectName.getField('2.5.4.5'),
    sans: (extension?.names.items ?? []).map(({ type, value }) => ({ type, value })),
  }
}
