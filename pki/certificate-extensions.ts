// The extensions of a certificate that decide something or name somebody here (RFC 5280 §4.2.1), read from their DER.
// Those that decide nothing are read too, so that what cannot be read is refused whichever extension it is in.
import {
  booleanOf,
  contentOf,
  type DerElement,
  DerError,
  elementAt,
  elementsOf,
  oidOf,
  smallIntegerOf,
  tags,
  wholeElement,
  withTag,
} from './der-reader.ts'
import { type GeneralName, generalNameOf, generalNamesOf } from './general-names.ts'

export const extensionIds = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  issuerAltName: '2.5.29.18',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  crlDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
} as const
type KnownExtension = keyof typeof extensionIds

/** The bits of KeyUsage (RFC 5280 §4.2.1.3), in their order. */
const keyUsages = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const
type KeyUsage = (typeof keyUsages)[number]

/** What the extensions say that are there; null where one is not. */
export type ExtensionValues = {
  basicConstraints: { isCa: boolean; pathLength: number | null } | null
  keyUsage: ReadonlySet<KeyUsage> | null
  extendedKeyUsage: readonly string[] | null
  subjectAltName: readonly GeneralName[] | null
}

type Reading = (bytes: Buffer) => unknown

const readers = {
  basicConstraints(bytes: Buffer) {
    const parts = [...elementsOf(bytes, wholeElement(bytes, tags.sequence))]
    const isCa = parts[0]?.tag === tags.boolean && booleanOf(bytes, parts.shift())
    const length = parts.shift()
    if (parts.length > 0) throw new DerError('it holds more than it may')
    return {
      isCa,
      pathLength: length === undefined ? null : smallIntegerOf(bytes, withTag(length, tags.integer)),
    }
  },
  keyUsage(bytes: Buffer) {
    const [unused = 8, ...octets] = contentOf(bytes, wholeElement(bytes, tags.bitString))
    if (unused > 7 || octets.length > 2) throw new DerError('it is no string of at most nine bits')
    return new Set(keyUsages.filter((_, bit) => ((octets[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0))
  },
  extendedKeyUsage(bytes: Buffer) {
    const purposes = [...elementsOf(bytes, wholeElement(bytes, tags.sequence))].map(one => oidOf(bytes, one))
    if (purposes.length === 0) throw new DerError('it holds no purpose')
    return purposes
  },
  subjectAltName: (bytes: Buffer) => generalNamesOf(bytes, wholeElement(bytes, tags.sequence)),
  issuerAltName: (bytes: Buffer) => generalNamesOf(bytes, wholeElement(bytes, tags.sequence)),
  subjectKeyIdentifier: (bytes: Buffer) => wholeElement(bytes, tags.octetString),
  authorityKeyIdentifier(bytes: Buffer) {
    for (const part of elementsOf(bytes, wholeElement(bytes, tags.sequence))) {
      if (part.tag === 0xa1) generalNamesOf(bytes, part)
      else if (part.tag !== 0x80 && part.tag !== 0x82) throw new DerError('it holds what it may not')
    }
  },
  authorityInfoAccess(bytes: Buffer) {
    for (const access of filled(bytes, wholeElement(bytes, tags.sequence))) {
      const [method, location, more] = elementsOf(bytes, withTag(access, tags.sequence))
      if (location === undefined || more !== undefined) throw new DerError('a description is malformed')
      oidOf(bytes, method)
      generalNameOf(bytes, location)
    }
  },
  certificatePolicies(bytes: Buffer) {
    for (const policy of filled(bytes, wholeElement(bytes, tags.sequence))) {
      const [oid, qualifiers, more] = elementsOf(bytes, withTag(policy, tags.sequence))
      oidOf(bytes, oid)
      if (more !== undefined) throw new DerError('a policy is malformed')
      if (qualifiers !== undefined) filled(bytes, withTag(qualifiers, tags.sequence))
    }
  },
  crlDistributionPoints(bytes: Buffer) {
    for (const point of filled(bytes, wholeElement(bytes, tags.sequence))) {
      for (const part of elementsOf(bytes, withTag(point, tags.sequence))) {
        if (part.tag === 0xa0) distributionPointName(bytes, part)
        else if (part.tag === 0xa2) generalNamesOf(bytes, part)
        else if (part.tag !== 0x81) throw new DerError('a distribution point is malformed')
      }
    }
  },
} as const satisfies Partial<Record<KnownExtension, Reading>>

function distributionPointName(bytes: Buffer, tagged: DerElement): void {
  const name = elementAt(bytes, tagged.content, tagged.end)
  if (name.end !== tagged.end || (name.tag !== 0xa0 && name.tag !== 0xa1)) {
    throw new DerError('the name of a distribution point is malformed')
  }
  if (name.tag === 0xa0) generalNamesOf(bytes, name)
}

function filled(bytes: Buffer, sequence: DerElement): DerElement[] {
  const elements = [...elementsOf(bytes, sequence)]
  if (elements.length === 0) throw new DerError('it is empty')
  return elements
}

const byId = new Map<string, { name: KnownExtension; read: Reading }>(
  Object.entries(readers).map(([name, read]) => [
    extensionIds[name as KnownExtension],
    { name: name as KnownExtension, read },
  ]),
)

/** The name that RFC 5280 gives an extension, or its object identifier. */
export function extensionName(oid: string): string {
  return byId.get(oid)?.name ?? (oid === extensionIds.nameConstraints ? 'nameConstraints' : oid)
}

/** Reads the value of one extension into `values`. One that is not known is left alone. Throws a `DerError`. */
export function readExtension(oid: string, value: Buffer, values: ExtensionValues): void {
  const known = byId.get(oid)
  if (known === undefined) return
  const read = known.read(value)
  if (known.name in values) Object.assign(values, { [known.name]: read })
}
