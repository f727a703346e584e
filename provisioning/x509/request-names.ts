// The names that a request asks for, and those that a certificate has, in a form that compares. Nothing is ever issued by them.
import { extensionIds } from '../../pki/certificate-extensions.ts'
import { readCertificate } from '../../pki/certificate-reader.ts'
import { attributeTypes, comparableName, type NameAttribute } from '../../pki/distinguished-name.ts'
import { readOrNull } from '../../pki/foreign-bytes.ts'
import { pemBlocks } from '../../pki/pem.ts'
import { readRequestNames } from '../../pki/request-reader.ts'

/** Subject and subjectAltName, in a form in which equal names are equal strings. */
export type Names = { subject: string; subjectAltName: string }

/** What a request (PEM) asks to be named; null where it cannot be read. Nothing is ever issued by these names. */
export function namesOfRequest(pem: string): Names | null {
  return readOrNull(() => {
    const { subject, subjectAltNames } = readRequestNames(requestIn(pem))
    return comparableNames(subject.der, subjectAltNames)
  })
}

/** Null where it cannot be read, as may be with one that an older version listed. */
export function namesOfCertificate(der: Buffer): Names | null {
  const reading = readCertificate(der)
  if ('problem' in reading) return null
  const { subject, extensions } = reading.certificate
  const alternative = extensions.filter(({ oid }) => oid === extensionIds.subjectAltName)
  return comparableNames(
    subject.der,
    alternative.map(({ value }) => value),
  )
}

/**
 * The device that a request asks for where nothing else names one: its only serialNumber (as IEEE 802.1AR names devices),
 * else its only CN. Null where there is none, or more than one.
 */
export function deviceAskedFor(pem: string): string | null {
  return readOrNull(() => deviceNamedBy(readRequestNames(requestIn(pem)).subject.attributes))
}

/** The same of the attributes of a subject. */
export function deviceNamedBy(attributes: readonly NameAttribute[]): string | null {
  const valuesOf = (type: string) => attributes.filter(({ oid, isText }) => isText && oid === type)
  const serialNumbers = valuesOf(attributeTypes.serialNumber)
  const names = serialNumbers.length > 0 ? serialNumbers : valuesOf(attributeTypes.commonName)
  return names.length === 1 ? names[0]!.value : null
}

export function comparableNames(subject: Buffer, alternatives: readonly Buffer[]): Names {
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
