// The parameters of RSASSA-PSS (RFC 4055 §3.1), as far as they are accepted: one hash of the SHA-2 family, for the message and in MGF1. Pure.
import {
  contentOf,
  type DerElement,
  DerError,
  elementsOf,
  encodingOf,
  oidOf,
  smallIntegerOf,
  tags,
  wholeElement,
} from './der-reader.ts'

const MGF1 = '1.2.840.113549.1.1.8'
const SALT_OCTETS_MAX = 512
const hashes: Readonly<Record<string, 'sha256' | 'sha384' | 'sha512'>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}

/** `saltLength` in octets. Throws a `DerError` where they are missing or others: the defaults are SHA-1. */
export function pssParametersOf(parameters: Buffer | null): { hash: string; saltLength: number } {
  if (parameters === null) throw new DerError('parameters are missing')
  const fields = new Map<number, DerElement>()
  for (const field of elementsOf(parameters, wholeElement(parameters, tags.sequence))) {
    if (fields.has(field.tag) || field.tag < 0xa0 || field.tag > 0xa3)
      throw new DerError('a field is out of place')
    fields.set(field.tag, field)
  }
  const contentAt = (tag: number) => {
    const field = fields.get(tag)
    return field === undefined ? null : contentOf(parameters, field)
  }
  const hash = hashOf(contentAt(0xa0))
  const mask = contentAt(0xa1)
  if (mask === null) throw new DerError('maskGenAlgorithm is missing')
  const [id, inner] = elementsOf(mask, wholeElement(mask, tags.sequence))
  if (oidOf(mask, id) !== MGF1 || inner === undefined || hashOf(encodingOf(mask, inner)) !== hash)
    throw new DerError('maskGenAlgorithm is not MGF1 with the same hash')
  const salt = contentAt(0xa2)
  const saltLength = salt === null ? 20 : smallIntegerOf(salt, wholeElement(salt, tags.integer))
  const trailer = contentAt(0xa3)
  if (
    saltLength > SALT_OCTETS_MAX ||
    (trailer !== null && smallIntegerOf(trailer, wholeElement(trailer, tags.integer)) !== 1)
  )
    throw new DerError('saltLength or trailerField is out of bounds')
  return { hash, saltLength }
}

/** That of an AlgorithmIdentifier. */
function hashOf(algorithm: Buffer | null): string {
  if (algorithm === null) throw new DerError('hashAlgorithm is missing')
  const [id] = elementsOf(algorithm, wholeElement(algorithm, tags.sequence))
  const oid = oidOf(algorithm, id)
  const hash = Object.hasOwn(hashes, oid) ? hashes[oid] : undefined
  if (hash === undefined) throw new DerError('hashAlgorithm is none of SHA-256, SHA-384 and SHA-512')
  return hash
}
