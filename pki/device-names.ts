// Names that standards give devices within their certificates, besides common names and URIs. Tells every value that is there.
import { contentOf, type DerElement, elementsOf, oidOf, tags, wholeElement, withTag } from './der-reader.ts'
import { textOf } from './distinguished-name.ts'
import { readOrNull } from './foreign-bytes.ts'
import type { GeneralName } from './general-names.ts'
import type { CertificateNames } from './names.ts'

/** RFC 4108 §5, which IEEE 802.1AR, IEEE 2030.5, GBCS and Wi-SUN name devices by. */
const HARDWARE_MODULE_NAME = '1.3.6.1.5.5.7.8.4'
/** RFC 4043 §2. */
const PERMANENT_IDENTIFIER = '1.3.6.1.5.5.7.8.3'
/** Matter Core Specification §6.2.2: attributes of the subject, or parts of a common name. */
const matter = {
  vid: { oid: '1.3.6.1.4.1.37244.2.1', labelled: /(?:^|[^A-Za-z0-9])Mvid:([0-9A-F]{4})(?![0-9A-F])/g },
  pid: { oid: '1.3.6.1.4.1.37244.2.2', labelled: /(?:^|[^A-Za-z0-9])Mpid:([0-9A-F]{4})(?![0-9A-F])/g },
} as const

/** The serial numbers of hardwareModuleNames: SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING }. */
export function hardwareSerials(sans: readonly GeneralName[]): Buffer[] {
  return valuesOf(sans, HARDWARE_MODULE_NAME, (der, [type, serial, more]) => {
    oidOf(der, type)
    return more === undefined ? contentOf(der, withTag(serial, tags.octetString)) : null
  })
}

/** The values of permanentIdentifiers: SEQUENCE { identifierValue UTF8String OPTIONAL, assigner OBJECT IDENTIFIER OPTIONAL }. */
export function permanentIdentifiers(sans: readonly GeneralName[]): string[] {
  return valuesOf(sans, PERMANENT_IDENTIFIER, (der, [value]) =>
    value === undefined ? null : textOf(value.tag, contentOf(der, value)),
  )
}

/** The vendor or product ID of a Matter device, four hexadecimal digits. */
export function matterIdentifiers(
  { attributes, commonNames }: CertificateNames,
  which: 'vid' | 'pid',
): string[] {
  const { oid, labelled } = matter[which]
  const given = attributes.filter(one => one.oid === oid).map(({ value }) => value)
  // The standard forbids to give it both ways.
  return [...given, ...commonNames.flatMap(name => [...name.matchAll(labelled)].map(match => match[1]!))]
}

/** What cannot be read names nobody. */
function valuesOf<T>(
  sans: readonly GeneralName[],
  oid: string,
  read: (der: Buffer, parts: DerElement[]) => T | null,
): T[] {
  return sans.flatMap(({ other }) => {
    if (other?.oid !== oid) return []
    const value = readOrNull(() =>
      read(other.der, [...elementsOf(other.der, wholeElement(other.der, tags.sequence))]),
    )
    return value === null ? [] : [value]
  })
}
