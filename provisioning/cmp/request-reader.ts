// Reads the bodies of requests: CertReqMessages (RFC 4211 §3), RevReqContent, CertConfirmContent, PollReqContent, GenMsgContent (RFC 9810
// §5.3). One request in each message, as RFC 9483 §4 has it. Says what is asked; decides nothing.
import { extensionIds } from '../../pki/certificate-extensions.ts'
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
  withTag,
} from '../../pki/der-reader.ts'
import type { SignatureAlgorithm } from '../../pki/signature-policy.ts'
import { sequence } from '../x509/der.ts'
import { CmpFault } from './cmp-problems.ts'
import { type Fields, fieldsOf, inside, readingPart, wholeOctets } from './message-fields.ts'
import { algorithmOf, requestIdOf } from './message-reader.ts'

/** How possession of the key is shown (RFC 4211 §4). `signed` is the DER of CertRequest. */
export type Possession =
  | { by: 'signature'; algorithm: SignatureAlgorithm; signature: Buffer; signed: Buffer }
  | { by: 'nothing' | 'raVerified' | 'another way' }

/** DER of names and key, as a template asks for them; null for what it leaves open. */
export type Template = {
  serialNumber: Buffer | null
  issuer: Buffer | null
  subject: Buffer | null
  spki: Buffer | null
  /** The values of the extension subjectAltName. */
  subjectAltNames: readonly Buffer[]
}
type OldCertificate = { issuer: Buffer | null; serialNumber: Buffer }
export type CertificateRequest = {
  template: Template
  possession: Possession
  /** The certificate that is to be replaced, where the request names one. */
  old: OldCertificate | null
}
export type Revocation = { template: Template; reasonCode: number | null }
export type Confirmation = {
  requestId: 0 | -1
  certHash: Buffer
  hashAlgorithm: string | null
  accepted: boolean
}

const OLD_CERT_ID = '1.3.6.1.5.5.7.5.1.5'
const REASON_CODE = '2.5.29.21'
const tagOf = (number: number) => 0xa0 + number

/** The request of ir, cr or kur. Throws a `CmpFault`. */
export function readCertificateRequest(body: Buffer): CertificateRequest {
  return readingPart('certReqMsg', () => {
    const fields = fieldsOf(body, only(body, 'certificate request'))
    const request = fields.next('certReq', tags.sequence)
    const popo = fields.more() ? fields.next('popo') : null
    const parts = fieldsOf(body, request)
    if (requestIdOf(body, parts.next('certReqId', tags.integer)) !== 0)
      throw new CmpFault('badRequest', 'certReqId is not 0, which the only request of a message has')
    const template = templateOf(body, parts.next('certTemplate', tags.sequence))
    const controls = parts.nextIf(tags.sequence)
    parts.end()
    return {
      template,
      possession: possessionOf(body, popo, encodingOf(body, request)),
      old: controls === null ? null : oldCertificateIn(body, controls),
    }
  })
}

/** The only element of a list. */
function only(body: Buffer, what: string): DerElement {
  const list = [...elementsOf(body, wholeElement(body, tags.sequence))]
  if (list.length !== 1 || list[0] === undefined)
    throw new CmpFault('badRequest', `the message holds ${list.length} of ${what}: send one in each`)
  return withTag(list[0], tags.sequence)
}

function templateOf(der: Buffer, element: DerElement): Template {
  const fields = fieldsOf(der, element)
  const implicit = (number: number) => fields.nextIf(0x80 + number)
  implicit(0)
  const serialNumber = implicit(1)
  fields.nextIf(tagOf(2))
  const issuer = fields.nextIf(tagOf(3))
  fields.nextIf(tagOf(4))
  const subject = fields.nextIf(tagOf(5))
  const key = fields.nextIf(tagOf(6))
  implicit(7)
  implicit(8)
  const extensions = fields.nextIf(tagOf(9))
  fields.end()
  const nameIn = (wrapped: DerElement | null) =>
    wrapped === null ? null : encodingOf(der, inside(der, wrapped, tags.sequence))
  return {
    serialNumber: serialNumber === null ? null : contentOf(der, serialNumber),
    issuer: nameIn(issuer),
    subject: nameIn(subject),
    spki: key === null ? null : sequence(contentOf(der, key)),
    subjectAltNames: extensions === null ? [] : valuesOf(der, extensions, extensionIds.subjectAltName),
  }
}

/** The values of an extension in a list of extensions. */
function valuesOf(der: Buffer, list: DerElement, id: string): Buffer[] {
  return [...elementsOf(der, list)].flatMap(extension => {
    const fields = fieldsOf(der, withTag(extension, tags.sequence))
    const found = oidOf(der, fields.next('extnID', tags.oid)) === id
    fields.nextIf(tags.boolean)
    const value = contentOf(der, fields.next('extnValue', tags.octetString))
    fields.end()
    return found ? [value] : []
  })
}

function possessionOf(der: Buffer, popo: DerElement | null, signed: Buffer): Possession {
  if (popo === null) return { by: 'nothing' }
  if (popo.tag === 0x80) return { by: 'raVerified' }
  if (popo.tag !== tagOf(1)) return { by: 'another way' }
  const fields: Fields = fieldsOf(der, popo)
  // poposkInput is for templates without subject or key (RFC 4211 §4.1).
  if (fields.nextIf(tagOf(0)) !== null) return { by: 'another way' }
  const algorithm = algorithmOf(der, fields.next('algorithmIdentifier', tags.sequence))
  const signature = wholeOctets(der, fields.next('signature', tags.bitString))
  fields.end()
  return { by: 'signature', algorithm, signature, signed }
}

function oldCertificateIn(der: Buffer, controls: DerElement): OldCertificate | null {
  const found = [...elementsOf(der, controls)].flatMap(control => {
    const fields = fieldsOf(der, withTag(control, tags.sequence))
    return oidOf(der, fields.next('type', tags.oid)) === OLD_CERT_ID ? [fields.next('value')] : []
  })
  if (found.length > 1) throw new CmpFault('badRequest', 'oldCertId is there more than once')
  const [value] = found
  if (value === undefined) return null
  const fields = fieldsOf(der, withTag(value, tags.sequence))
  const issuer = fields.next('issuer')
  const serialNumber = contentOf(der, fields.next('serialNumber', tags.integer))
  return {
    issuer: issuer.tag === tagOf(4) ? encodingOf(der, inside(der, issuer, tags.sequence)) : null,
    serialNumber,
  }
}

/** The body of rr. Throws a `CmpFault`. */
export function readRevocation(body: Buffer): Revocation {
  return readingPart('revDetails', () => {
    const fields = fieldsOf(body, only(body, 'revocation request'))
    const template = templateOf(body, fields.next('certDetails', tags.sequence))
    const extensions = fields.nextIf(tags.sequence)
    fields.end()
    const [code] = extensions === null ? [] : valuesOf(body, extensions, REASON_CODE)
    if (code === undefined) return { template, reasonCode: null }
    const ENUMERATED = 0x0a
    return { template, reasonCode: smallIntegerOf(code, wholeElement(code, ENUMERATED)) }
  })
}

/** The body of certConf. Throws a `CmpFault`. */
export function readConfirmation(body: Buffer): Confirmation {
  return readingPart('certConf', () => {
    const fields = fieldsOf(body, only(body, 'confirmation'))
    const certHash = contentOf(body, fields.next('certHash', tags.octetString))
    const requestId = requestIdOf(body, fields.next('certReqId', tags.integer))
    const info = fields.nextIf(tags.sequence)
    const hashing = fields.nextIf(tagOf(0))
    fields.end()
    const hashAlgorithm = hashing === null ? null : algorithmOf(body, inside(body, hashing)).oid
    const status = info === null ? 0 : smallIntegerOf(body, fieldsOf(body, info).next('status', tags.integer))
    return { requestId, certHash, hashAlgorithm, accepted: status === 0 || status === 1 }
  })
}

/** The certReqId of pollReq. Throws a `CmpFault`. */
export function readPoll(body: Buffer): 0 | -1 {
  return readingPart('pollReq', () => {
    const fields = fieldsOf(body, only(body, 'poll request'))
    const id = requestIdOf(body, fields.next('certReqId', tags.integer))
    fields.end()
    return id
  })
}

/** The types of information that a genm asks for. Throws a `CmpFault`. */
export function readInfoTypes(body: Buffer): string[] {
  return readingPart('genm', () => {
    const infos = [...elementsOf(body, wholeElement(body, tags.sequence))]
    if (infos.length > INFO_TYPES_MAX) throw new DerError(`it asks for more than ${INFO_TYPES_MAX} things`)
    return infos.map(info =>
      oidOf(body, fieldsOf(body, withTag(info, tags.sequence)).next('infoType', tags.oid)),
    )
  })
}

const INFO_TYPES_MAX = 8
