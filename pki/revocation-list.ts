// Reads a complete CRL of a foreign CA (RFC 5280 §5): its signer, when the next one comes, which serial numbers it
// lists. Refuses lists that are not the whole truth about their issuer. Fetches nothing.
import 'reflect-metadata'
import { type KeyObject, verify, type X509Certificate } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import { CRLReasons, Extension } from '@peculiar/asn1-x509'
import { readAsn1Time } from './asn1-time.ts'
import { type ReadCertificate, readCertificate } from './certificate-reader.ts'
import {
  contentOf,
  type DerElement,
  elementAt,
  elementsOf,
  encodingOf,
  oidOf,
  wholeElement,
} from './der-reader.ts'
import { comparableName } from './distinguished-name.ts'
import { type CrlCoverage, coverageOf, coversAll } from './distribution-points.ts'
import { signatureAlgorithms } from './signature-algorithms.ts'

/** Times in ms since the epoch; `entries` reads on as it is asked for more, and throws a `CrlFault` at what it cannot read. */
type RevocationList = {
  /** CRL number in hex, or null where the list has none. */
  number: string | null
  thisUpdate: number
  nextUpdate: number | null
  /** Which part of the issuer's certificates it is about, in hex; '' for all. */
  scope: string
  /** The same, read. Whether it covers the certificates that it is asked about is for the caller to find out. */
  coverage: CrlCoverage
  entries(): Generator<Revocation, void>
}

/** `serialNumber` as `certificateFacts` writes it. */
export type Revocation = { serialNumber: string; revokedAt: number; reason: string }

/** Why a CRL cannot be used, in words for its sender. */
export class CrlError extends Error {
  override readonly name = 'CrlFault'
}

const SEQUENCE = 0x30
const INTEGER = 0x02
const TIMES = [0x17, 0x18]
const EXTENSIONS = 0xa0
/** 2.5.29.21 */
const REASON_OID = Buffer.from('551d15', 'hex')

const oids = {
  number: '2.5.29.20',
  delta: '2.5.29.27',
  distributionPoint: '2.5.29.28',
} as const

/** Reads a DER list that this CA signed; the signature is verified in a thread of OpenSSL's. Rejects with a `CrlFault`. */
export async function readRevocationList(der: Buffer, issuer: X509Certificate): Promise<RevocationList> {
  const [tbs, algorithm, signature] = faulting(() => {
    const [tbs, algorithm, signature, more] = elementsOf(der, whole(der))
    if (!tbs || !algorithm || !signature || more) throw new CrlError('it is no CRL')
    return [tbs, algorithm, signature]
  })
  const { hash, bits } = faulting(() => signatureIn(der, algorithm, signature, issuer))
  if (!(await verified(hash, encodingOf(der, tbs), issuer.publicKey, bits))) throw notSigned()
  return faulting(() => readTbs(der, tbs, algorithm, issuer))
}

function readTbs(
  der: Buffer,
  tbs: DerElement,
  algorithm: DerElement,
  issuer: X509Certificate,
): RevocationList {
  const parts = [...elementsOf(der, tbs)]
  const take = (holds: (tag: number) => boolean) => (holds(parts[0]?.tag ?? -1) ? parts.shift() : undefined)
  take(tag => tag === INTEGER)
  const inner = take(tag => tag === SEQUENCE)
  if (!inner || !encodingOf(der, inner).equals(encodingOf(der, algorithm))) {
    throw new CrlError('its signature algorithm is not the one it was signed with')
  }
  const name = take(tag => tag === SEQUENCE)
  const thisUpdate = take(tag => TIMES.includes(tag))
  const nextUpdate = take(tag => TIMES.includes(tag))
  const revoked = take(tag => tag === SEQUENCE)
  const extensions = take(tag => tag === EXTENSIONS)
  if (!name || !thisUpdate || parts.length > 0) throw new CrlError('it is no CRL')
  assertIssuer(encodingOf(der, name), issuer)
  const { number, scope, coverage } = readExtensions(der, extensions)
  return {
    number,
    scope,
    coverage,
    thisUpdate: timeOf(der, thisUpdate),
    nextUpdate: nextUpdate ? timeOf(der, nextUpdate) : null,
    *entries() {
      if (!revoked) return
      for (const entry of faultingEach(elementsOf(der, revoked))) yield faulting(() => readEntry(der, entry))
    },
  }
}

function readEntry(der: Buffer, entry: DerElement): Revocation {
  const [serial, at, extensions, more] = elementsOf(der, entry)
  if (entry.tag !== SEQUENCE || serial?.tag !== INTEGER || !at || more)
    throw new CrlError('an entry cannot be read')
  return {
    serialNumber: serialOf(contentOf(der, serial)),
    revokedAt: timeOf(der, at),
    reason: extensions ? reasonOf(der, extensions) : 'unspecified',
  }
}

/** Walked by hand: a list has as many of these as entries. */
function reasonOf(der: Buffer, extensions: DerElement): string {
  let reason = 'unspecified'
  for (const element of elementsOf(der, extensions)) {
    const [oid, ...rest] = elementsOf(der, element)
    const value = rest.at(-1)
    if (!oid || !value) throw new CrlError('an extension of an entry cannot be read')
    if (contentOf(der, oid).equals(REASON_OID)) {
      const code = contentOf(der, elementAt(der, value.content, value.end))
      reason = CRLReasons[code[0] ?? 0] ?? 'unspecified'
      if (reason === 'removeFromCRL') throw new CrlError('it takes entries back, as only a delta CRL may')
    } else if (rest.length > 1 && der[rest[0]!.content] !== 0) {
      // RFC 5280 §5.3: such a list must not be used.
      throw new CrlError('an entry has a critical extension that is not understood here')
    }
  }
  return reason
}

function readExtensions(
  der: Buffer,
  tagged: DerElement | undefined,
): { number: string | null; scope: string; coverage: CrlCoverage } {
  let [number, scope]: [string | null, string] = [null, '']
  let coverage = coversAll
  for (const list of tagged ? elementsOf(der, tagged) : []) {
    for (const element of elementsOf(der, list)) {
      const extension = AsnConvert.parse(encodingOf(der, element), Extension)
      const value = Buffer.from(extension.extnValue.buffer)
      if (extension.extnID === oids.delta) throw new CrlError('it is a delta CRL: send the complete one')
      if (extension.extnID === oids.number) number = numberOf(value)
      else if (extension.extnID === oids.distributionPoint) {
        const read = coverageOf(value)
        if (typeof read === 'string') throw new CrlError(`its issuing distribution point says ${read}`)
        ;[coverage, scope] = [read, value.toString('hex')]
      } else if (extension.critical) {
        throw new CrlError(`its critical extension ${extension.extnID} is not understood here`)
      }
    }
  }
  return { number, scope, coverage }
}

function assertIssuer(name: Buffer, issuer: X509Certificate): void {
  if (comparableName(name) !== comparableName(certificateOf(issuer).subject.der)) {
    throw new CrlError('another CA issued it')
  }
}

/** What the signature is verified with: the hash, null where the algorithm has its own, and its octets. */
function signatureIn(
  der: Buffer,
  algorithm: DerElement,
  signature: DerElement,
  issuer: X509Certificate,
): { hash: string | null; bits: Buffer } {
  const usage = certificateOf(issuer).keyUsage
  if (usage !== null && !usage.has('cRLSign')) {
    throw new CrlError('the key usage of the CA does not contain cRLSign')
  }
  const [oid] = elementsOf(der, algorithm)
  const needs = signatureAlgorithms.get(oidOf(der, oid))
  if (needs === undefined)
    throw new CrlError('it is signed with an algorithm that is not accepted: use SHA-256')
  if (needs.keyType !== issuer.publicKey.asymmetricKeyType) throw notSigned()
  // The content of a BIT STRING begins with the number of bits that do not count.
  return { hash: needs.hash, bits: contentOf(der, signature).subarray(1) }
}

/** Of megabytes, so not on the event loop. What OpenSSL cannot read verifies nothing. */
function verified(hash: string | null, signed: Buffer, key: KeyObject, bits: Buffer): Promise<boolean> {
  const done = new Promise<boolean>(resolve =>
    verify(hash, signed, key, bits, (error, fits) => resolve(!error && fits)),
  )
  return done.catch(() => false)
}

function notSigned(): CrlError {
  return new CrlError('this CA did not sign it')
}

function certificateOf(issuer: X509Certificate): ReadCertificate {
  const reading = readCertificate(issuer.raw)
  if ('problem' in reading) throw new CrlError('the certificate of the CA cannot be read')
  return reading.certificate
}

function whole(der: Buffer): DerElement {
  const list = elementAt(der, 0)
  if (list.tag !== SEQUENCE || list.end !== der.length) throw new CrlError('it is no CRL in DER')
  return list
}

/** CRLNumber (RFC 5280 §5.2.3): not negative, and of 20 octets or fewer. In hex. */
function numberOf(value: Buffer): string {
  const octets = contentOf(value, wholeElement(value, INTEGER))
  if (octets.length === 0 || octets.length > 20 || octets[0]! >= 0x80)
    throw new CrlError('its number is negative, empty or longer than 20 octets')
  return BigInt(`0x${octets.toString('hex')}`).toString(16)
}

/** As OpenSSL and so Node print it: hex of whole octets, a minus sign where it is negative. */
function serialOf(content: Buffer): string {
  if (content.length === 0) throw new CrlError('a serial number is empty')
  const unsigned = BigInt(`0x${content.toString('hex')}`)
  const value = BigInt.asIntN(content.length * 8, unsigned)
  const hex = (value < 0n ? -value : value).toString(16)
  return `${value < 0n ? '-' : ''}${hex.length % 2 === 0 ? hex : `0${hex}`}`
}

function timeOf(der: Buffer, element: DerElement): number {
  const at = readAsn1Time(element.tag, contentOf(der, element))
  if (at === null)
    throw new CrlError('a time in it cannot be read: it is no date as RFC 5280 §5.1.2.4 has it')
  return at
}

function faulting<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof CrlError ? error : new CrlError('it is no CRL in DER', { cause: error })
  }
}

function* faultingEach(elements: Generator<DerElement, void>): Generator<DerElement, void> {
  for (;;) {
    const next = faulting(() => elements.next())
    if (next.done) return
    yield next.value
  }
}
