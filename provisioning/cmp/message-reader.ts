// Reads a PKIMessage (RFC 9810 §5.1) from its DER: header, body, and exactly the octets that its protection covers. Proves nothing.
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
import { fieldsOf, inside, octetsInside, readingPart, wholeOctets } from './message-fields.ts'

export type CmpHeader = {
  /** 2 (RFC 4210) or 3 (RFC 9810). */
  pvno: 2 | 3
  /** GeneralName in DER, and the name in it where it is a directoryName. */
  sender: Buffer
  senderName: Buffer | null
  protectionAlgorithm: SignatureAlgorithm | null
  senderKid: Buffer | null
  transactionId: Buffer
  senderNonce: Buffer
  recipNonce: Buffer | null
  implicitConfirm: boolean
}

export type CmpMessage = {
  header: CmpHeader
  /** The number of the choice in PKIBody, and the DER under its tag. */
  bodyType: number
  body: Buffer
  /** DER of header and body in one SEQUENCE: what is protected. */
  protectedPart: Buffer
  protection: Buffer | null
  /** The first is that of the signer. */
  extraCerts: readonly Buffer[]
}

/** Choices of PKIBody (RFC 9810 §5.1.2). */
export const bodyTypes = {
  ir: 0,
  ip: 1,
  cr: 2,
  cp: 3,
  p10cr: 4,
  kur: 7,
  kup: 8,
  rr: 11,
  rp: 12,
  pkiconf: 19,
  nested: 20,
  genm: 21,
  genp: 22,
  error: 23,
  certConf: 24,
  pollReq: 25,
  pollRep: 26,
} as const

const IMPLICIT_CONFIRM = '1.3.6.1.5.5.7.4.13'
const TRANSACTION_OCTETS = { least: 8, most: 64 }
const NONCE_OCTETS = { least: 16, most: 64 }
const KEY_ID_OCTETS_MAX = 256
const EXTRA_CERTS_MAX = 8
const tagOf = (number: number) => 0xa0 + number

/** `onHeader` gets the header as soon as it is read, so that a refusal can name the transaction. Throws a `CmpFault`. */
export function readMessage(der: Buffer, onHeader: (header: CmpHeader) => void): CmpMessage {
  const parts = readingPart('message', () => {
    const fields = fieldsOf(der, wholeElement(der, tags.sequence))
    const header = fields.next('header', tags.sequence)
    const body = fields.next('body')
    const protection = fields.nextIf(tagOf(0))
    const extraCerts = fields.nextIf(tagOf(1))
    fields.end()
    return { header, body, protection, extraCerts }
  })
  const header = readingPart('header', () => headerOf(der, parts.header))
  onHeader(header)
  return readingPart('message', () => {
    const { tag } = parts.body
    if (tag < 0xa0) throw new DerError('body is no choice of PKIBody')
    return {
      header,
      bodyType: tag - 0xa0,
      body: encodingOf(der, inside(der, parts.body)),
      protectedPart: sequence(encodingOf(der, parts.header), encodingOf(der, parts.body)),
      protection: parts.protection === null ? null : wholeOctets(der, inside(der, parts.protection)),
      extraCerts: parts.extraCerts === null ? [] : certificatesOf(der, parts.extraCerts),
    }
  })
}

function headerOf(der: Buffer, element: DerElement): CmpHeader {
  const fields = fieldsOf(der, element)
  const pvno = smallIntegerOf(der, fields.next('pvno', tags.integer))
  if (pvno !== 2 && pvno !== 3)
    throw new CmpFault('unsupportedVersion', `pvno is ${pvno}: this server speaks 2 and 3`)
  const sender = fields.next('sender')
  fields.next('recipient')
  fields.nextIf(tagOf(0))
  const algorithm = fields.nextIf(tagOf(1))
  const senderKid = fields.nextIf(tagOf(2))
  fields.nextIf(tagOf(3))
  const transactionId = fields.nextIf(tagOf(4))
  const senderNonce = fields.nextIf(tagOf(5))
  const recipNonce = fields.nextIf(tagOf(6))
  fields.nextIf(tagOf(7))
  const generalInfo = fields.nextIf(tagOf(8))
  fields.end()
  if (transactionId === null) throw new CmpFault('badDataFormat', 'header: transactionID is missing')
  if (senderNonce === null) throw new CmpFault('badSenderNonce', 'header: senderNonce is missing')
  const nonce = octetsInside(der, senderNonce, NONCE_OCTETS.most)
  if (nonce.length < NONCE_OCTETS.least)
    throw new CmpFault('badSenderNonce', `header: senderNonce has less than ${NONCE_OCTETS.least} octets`)
  const transaction = octetsInside(der, transactionId, TRANSACTION_OCTETS.most)
  if (transaction.length < TRANSACTION_OCTETS.least)
    throw new DerError(`transactionID has less than ${TRANSACTION_OCTETS.least} octets`)
  return {
    pvno,
    sender: encodingOf(der, sender),
    senderName: sender.tag === tagOf(4) ? encodingOf(der, inside(der, sender, tags.sequence)) : null,
    protectionAlgorithm: algorithm === null ? null : algorithmOf(der, inside(der, algorithm, tags.sequence)),
    senderKid: senderKid === null ? null : octetsInside(der, senderKid, KEY_ID_OCTETS_MAX),
    transactionId: transaction,
    senderNonce: nonce,
    recipNonce: recipNonce === null ? null : octetsInside(der, recipNonce, NONCE_OCTETS.most),
    implicitConfirm: generalInfo !== null && asksImplicitConfirm(der, generalInfo),
  }
}

/** OID and parameters of an AlgorithmIdentifier. */
export function algorithmOf(der: Buffer, element: DerElement): SignatureAlgorithm {
  const fields = fieldsOf(der, withTag(element, tags.sequence))
  const oid = oidOf(der, fields.next('algorithm', tags.oid))
  const parameters = fields.more() ? encodingOf(der, fields.next('parameters')) : null
  fields.end()
  return { oid, parameters }
}

function asksImplicitConfirm(der: Buffer, generalInfo: DerElement): boolean {
  const infos = [...elementsOf(der, inside(der, generalInfo, tags.sequence))]
  return infos.some(info => oidOf(der, fieldsOf(der, info).next('infoType', tags.oid)) === IMPLICIT_CONFIRM)
}

function certificatesOf(der: Buffer, element: DerElement): Buffer[] {
  const certificates = [...elementsOf(der, inside(der, element, tags.sequence))]
  if (certificates.length > EXTRA_CERTS_MAX)
    throw new DerError(`extraCerts has ${certificates.length} certificates, more than ${EXTRA_CERTS_MAX}`)
  return certificates.map(certificate => Buffer.from(contentWithTag(der, certificate)))
}

function contentWithTag(der: Buffer, element: DerElement): Buffer {
  return encodingOf(der, withTag(element, tags.sequence))
}

/** A certReqId (RFC 9483 §4.1): 0, or -1 where the request has none; there is one request in a message. */
export function requestIdOf(der: Buffer, element: DerElement): 0 | -1 {
  const [octet, ...more] = contentOf(der, withTag(element, tags.integer))
  if (more.length > 0 || (octet !== 0 && octet !== 0xff))
    throw new CmpFault('badRequest', 'certReqId is neither 0 nor -1: one request in a message is taken')
  return octet === 0 ? 0 : -1
}
