// EST on the wire (RFC 7030 as RFC 8951 corrects it): certs-only PKCS #7, CSR attributes, and the names a request asks for.
// Pure: knows neither HTTP nor the registry.
import { extensionIds } from '../../pki/certificate-extensions.ts'
import { readCertificate } from '../../pki/certificate-reader.ts'
import { attributeTypes, comparableName } from '../../pki/distinguished-name.ts'
import { readOrNull } from '../../pki/foreign-bytes.ts'
import { pemBlocks } from '../../pki/pem.ts'
import { readRequestNames } from '../../pki/request-reader.ts'
import { integer, oid, sequence, setOf, tagged } from '../x509/der.ts'

export const CERTS_ONLY = 'application/pkcs7-mime; smime-type=certs-only'
export const CSR_ATTRIBUTES = 'application/csrattrs'

/**
 * What requests should hold (RFC 8951 §3.2, RFC 7030 §4.5.2): a key on P-256, signed with ECDSA and SHA-256. DER, base64:
 * SEQUENCE { SEQUENCE { id-ecPublicKey, SET { prime256v1 } }, ecdsa-with-SHA256 }. Other acceptable keys are taken too.
 */
export const csrAttributes = 'MCEwFQYHKoZIzj0CATEKBggqhkjOPQMBBwYIKoZIzj0EAwI='

const ID_SIGNED_DATA = '1.2.840.113549.1.7.2'
const ID_DATA = '1.2.840.113549.1.7.1'

/**
 * A degenerate SignedData (RFC 5652 §5.1) that holds these certificates, in their order: DER in base64 without line breaks (RFC 8951
 * §3.1). It has no signers and so no eContent (§5.2): neither an empty one.
 */
export function certsOnly(certificates: readonly Buffer[]): string {
  const signedData = sequence(
    integer('01'),
    setOf(),
    sequence(oid(ID_DATA)),
    tagged(0, ...certificates),
    setOf(),
  )
  return sequence(oid(ID_SIGNED_DATA), tagged(0, signedData)).toString('base64')
}

/** Subject and subjectAltName, in a form in which equal names are equal strings. */
type Names = { subject: string; subjectAltName: string }

/** What a request (PEM) asks to be named; null where it cannot be read. Nothing is ever issued by these names. */
export function namesOfRequest(pem: string): Names | null {
  return readOrNull(() => {
    const { subject, subjectAltNames } = readRequestNames(requestIn(pem))
    return comparable(subject.der, subjectAltNames)
  })
}

/** Null where it cannot be read, as may be with one that an older version listed. */
export function namesOfCertificate(der: Buffer): Names | null {
  const reading = readCertificate(der)
  if ('problem' in reading) return null
  const { subject, extensions } = reading.certificate
  const alternative = extensions.filter(({ oid }) => oid === extensionIds.subjectAltName)
  return comparable(
    subject.der,
    alternative.map(({ value }) => value),
  )
}

/**
 * The device that a request asks for where nothing else names one: its only serialNumber (as IEEE 802.1AR names devices),
 * else its only CN. Null where there is none, or more than one.
 */
export function deviceAskedFor(pem: string): string | null {
  return readOrNull(() => {
    const { attributes } = readRequestNames(requestIn(pem)).subject
    const valuesOf = (type: string) => attributes.filter(({ oid, isText }) => isText && oid === type)
    const serialNumbers = valuesOf(attributeTypes.serialNumber)
    const names = serialNumbers.length > 0 ? serialNumbers : valuesOf(attributeTypes.commonName)
    return names.length === 1 ? names[0]!.value : null
  })
}

function comparable(subject: Buffer, alternatives: readonly Buffer[]): Names {
  return {
    // By attribute and value: whether a string is a PrintableString or a UTF8String makes no other name (RFC 5280 §7.1).
    subject: comparableName(subject),
    subjectAltName: alternatives.map(value => value.toString('hex')).join(),
  }
}

function requestIn(pem: string): Buffer {
  const [der] = [...pemBlocks(pem, 'CERTIFICATE REQUEST'), ...pemBlocks(pem, 'NEW CERTIFICATE REQUEST')]
  return der ?? Buffer.alloc(0)
}
