// Which signatures prove nothing any more: those over MD5 and SHA-1, for which somebody else may have made what was signed. Pure.
import { contentOf, elementAt, elementsOf, oidOf, tags } from './der-reader.ts'

/** An AlgorithmIdentifier: its object identifier, and the DER of its parameters where it has any. */
export type SignatureAlgorithm = { oid: string; parameters: Buffer | null }

export const RSASSA_PSS = '1.2.840.113549.1.1.10'
const broken: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.2': 'MD2',
  '1.2.840.113549.1.1.3': 'MD4',
  '1.2.840.113549.1.1.4': 'MD5',
  '1.2.840.113549.1.1.5': 'SHA-1',
  '1.3.14.3.2.29': 'SHA-1',
  '1.2.840.10045.4.1': 'SHA-1',
  '1.2.840.10040.4.3': 'SHA-1',
}
const brokenHashes: Readonly<Record<string, string>> = {
  '1.2.840.113549.2.5': 'MD5',
  '1.3.14.3.2.26': 'SHA-1',
}

/** What is wrong with it, in words for the requester of the signature; null if nothing is. */
export function weaknessOfSignature({ oid, parameters }: SignatureAlgorithm): string | null {
  const hash = oid === RSASSA_PSS ? brokenHashes[hashOfPss(parameters)] : broken[oid]
  return hash === undefined ? null : `it is signed with ${hash}: sign it with SHA-256`
}

/** RFC 4055 §3.1: [0] hashAlgorithm, SHA-1 where it is left out. */
function hashOfPss(parameters: Buffer | null): string {
  const SHA1 = '1.3.14.3.2.26'
  if (parameters === null || parameters[0] !== tags.sequence) return SHA1
  const [first] = elementsOf(parameters, elementAt(parameters, 0))
  if (first?.tag !== 0xa0) return SHA1
  const [oid] = elementsOf(contentOf(parameters, first), elementAt(contentOf(parameters, first), 0))
  return oidOf(contentOf(parameters, first), oid)
}
