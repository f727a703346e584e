// What a certification request (PKCS #10, RFC 2986) asks to be named, read from its DER. Proves nothing: whether the request
// is genuine, and what its certificate says, is decided elsewhere.
import { extensionIds } from './certificate-extensions.ts'
import {
  contentOf,
  type DerElement,
  elementsOf,
  encodingOf,
  oidOf,
  tags,
  wholeElement,
  withTag,
} from './der-reader.ts'
import { type NameAttribute, readName } from './distinguished-name.ts'

type RequestNames = {
  subject: { der: Buffer; attributes: readonly NameAttribute[] }
  /** The values of the extension subjectAltName, however many are asked for. */
  subjectAltNames: readonly Buffer[]
}

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'

/** Throws a `DerError` where the bytes are no request. */
export function readRequestNames(der: Buffer): RequestNames {
  const [info] = elementsOf(der, wholeElement(der, tags.sequence))
  const [version, name, , attributes] = elementsOf(der, withTag(info, tags.sequence))
  withTag(version, tags.integer)
  const subject = encodingOf(der, withTag(name, tags.sequence))
  const subjectAltNames: Buffer[] = []
  for (const attribute of attributes === undefined ? [] : elementsOf(der, withTag(attributes, 0xa0))) {
    const [type, values] = elementsOf(der, withTag(attribute, tags.sequence))
    if (oidOf(der, type) !== EXTENSION_REQUEST) continue
    for (const list of elementsOf(der, withTag(values, tags.set))) {
      for (const extension of elementsOf(der, withTag(list, tags.sequence))) {
        const value = subjectAltNameOf(der, extension)
        if (value !== null) subjectAltNames.push(value)
      }
    }
  }
  return { subject: { der: subject, attributes: readName(subject) }, subjectAltNames }
}

function subjectAltNameOf(der: Buffer, extension: DerElement): Buffer | null {
  const [id, ...rest] = elementsOf(der, withTag(extension, tags.sequence))
  const value = withTag(rest.at(-1), tags.octetString)
  return oidOf(der, id) === extensionIds.subjectAltName ? contentOf(der, value) : null
}
