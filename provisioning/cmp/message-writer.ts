// Writes the PKIMessages of this server (RFC 9810 §5.1): header, body, protection. Pure but for the protection; refuses to know why an answer is what it is.
import { hash } from 'node:crypto'
import {
  bitString,
  generalizedTime,
  integer,
  namedBit,
  nothing,
  octetString,
  oid,
  sequence,
  tagged,
  utf8String,
} from '../x509/der.ts'
import { type FailureInfo, failureBits } from './cmp-problems.ts'
import { bodyTypes, type CmpHeader } from './message-reader.ts'

export type CertificateRequestType = 'ir' | 'cr' | 'p10cr' | 'kur'
/** What is granted: a certificate, with or without changes to what was asked for, or to wait. */
export type Grant = { status: 'accepted' | 'grantedWithMods'; certificate: Buffer } | { status: 'waiting' }
/** A body with the number of its choice. */
export type Body = { type: number; der: Buffer }

/** How answers are protected. `algorithm` is an AlgorithmIdentifier in DER. */
export type Protection = {
  algorithm: Buffer
  senderKid: Buffer | null
  protect(bytes: Buffer): Promise<Buffer>
}

const statuses = { accepted: 0, grantedWithMods: 1, rejection: 2, waiting: 3 } as const
const IMPLICIT_CONFIRM = sequence(oid('1.3.6.1.5.5.7.4.13'), nothing())
const CA_CERTS = oid(`1.3.6.1.5.5.7.4.17`)
const MINUS_ONE = Buffer.of(0x02, 0x01, 0xff)
const answerOf = { ir: bodyTypes.ip, cr: bodyTypes.cp, p10cr: bodyTypes.cp, kur: bodyTypes.kup } as const

const requestId = (id: 0 | -1) => (id === 0 ? integer('00') : MINUS_ONE)
const number = (value: number) => integer(value.toString(16))

function statusInfo(status: keyof typeof statuses, text: string | null, failure: FailureInfo | null): Buffer {
  return sequence(
    number(statuses[status]),
    ...(text === null ? [] : [sequence(utf8String(text))]),
    ...(failure === null ? [] : [namedBit(failureBits[failure])]),
  )
}

/** ip, cp or kup. `caPubs` are DER certificates that the shared secret vouches for. */
export function certificateResponse(
  { type, requestId: id }: { type: CertificateRequestType; requestId: 0 | -1 },
  grant: Grant,
  text: string | null,
  caPubs: readonly Buffer[],
): Body {
  const pair = grant.status === 'waiting' ? [] : [sequence(tagged(0, grant.certificate))]
  const response = sequence(requestId(id), statusInfo(grant.status, text, null), ...pair)
  const pubs = caPubs.length === 0 ? [] : [tagged(1, sequence(...caPubs))]
  return { type: answerOf[type], der: sequence(...pubs, sequence(response)) }
}

export function revocationResponse(): Body {
  return { type: bodyTypes.rp, der: sequence(sequence(statusInfo('accepted', null, null))) }
}

export function confirmed(): Body {
  return { type: bodyTypes.pkiconf, der: nothing() }
}

export function pollResponse(id: 0 | -1, checkAfterSeconds: number): Body {
  const response = sequence(requestId(id), number(checkAfterSeconds))
  return { type: bodyTypes.pollRep, der: sequence(response) }
}

/** The answer to a genm: the CA certificates where it asks for them (RFC 9483 §4.3.1). */
export function caCertificates(certificates: readonly Buffer[] | null): Body {
  const info = certificates === null ? [] : [sequence(CA_CERTS, sequence(...certificates))]
  return { type: bodyTypes.genp, der: sequence(...info) }
}

export function errorMessage(failure: FailureInfo, text: string): Body {
  return { type: bodyTypes.error, der: sequence(statusInfo('rejection', text, failure)) }
}

type AnswerHeader = {
  /** The header that is answered; null where none could be read. */
  to: CmpHeader | null
  /** Subject of the issuing CA, in DER. */
  sender: Buffer
  senderNonce: Buffer
  at: number
  implicitConfirm: boolean
}

/** Signs or MACs header and body, and puts the message together. */
export async function writeMessage(
  header: AnswerHeader,
  body: Body,
  { algorithm, senderKid, protect }: Protection,
  extraCerts: readonly Buffer[],
): Promise<Buffer> {
  const { to } = header
  const head = sequence(
    number(to?.pvno ?? 2),
    tagged(4, header.sender),
    to?.sender ?? tagged(4, sequence()),
    tagged(0, generalizedTime(header.at)),
    tagged(1, algorithm),
    ...(senderKid === null ? [] : [tagged(2, octetString(senderKid))]),
    ...(to === null ? [] : [tagged(4, octetString(to.transactionId))]),
    tagged(5, octetString(header.senderNonce)),
    ...(to === null ? [] : [tagged(6, octetString(to.senderNonce))]),
    ...(header.implicitConfirm ? [tagged(8, sequence(IMPLICIT_CONFIRM))] : []),
  )
  const content = tagged(body.type, body.der)
  const protection = await protect(sequence(head, content))
  return sequence(head, content, tagged(0, bitString(protection)), tagged(1, sequence(...extraCerts)))
}

/** The hash by which a certificate is confirmed (RFC 9810 §5.3.18): that of its signature algorithm; SHA-512 where it has none. */
export function confirmationHashOf(
  certificate: Buffer,
  signatureHash: string | null,
  named: string | null,
): Buffer | null {
  if (named === null) return hash(signatureHash ?? 'sha512', certificate, 'buffer')
  const known = Object.hasOwn(hashNames, named) ? hashNames[named] : undefined
  return known === undefined ? null : hash(known, certificate, 'buffer')
}

const hashNames: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}
