// What a CMP message comes to: a certificate that is asked for, confirmed, polled for or revoked, or the certificates of our CAs. Knows no protection and
// no HTTP.
import type { Actor } from '../../db/audit/audit.ts'
import type { RegistryWriter } from '../../db/index.ts'
import type { Certificate, RollReader } from '../../db/roll/roll-reader.ts'
import { readOrThrow } from '../../pki/certificate-facts.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'
import { signatureAlgorithms } from '../../pki/signature-algorithms.ts'
import { enrollmentProblems } from '../enrollment/enrollment-problems.ts'
import { ownRevocationReasons } from '../enrollment/own-revocation-reasons.ts'
import { Problem } from '../http/problem.ts'
import { type Sender, transactionSenderOf } from './cmp-authentication.ts'
import { type CertificationServices, type CmpAnswer, createCertification } from './cmp-certification.ts'
import { CmpFault } from './cmp-problems.ts'
import { bodyTypes, type CmpMessage } from './message-reader.ts'
import {
  type CertificateRequestType,
  caCertificates,
  confirmationHashOf,
  confirmed,
  pollResponse,
  revocationResponse,
} from './message-writer.ts'
import { readConfirmation, readInfoTypes, readPoll, readRevocation } from './request-reader.ts'
import { isCertificate } from './requested-certificate.ts'
import { createTransactions, type Transaction } from './transactions.ts'

export type CmpEnrollmentServices = CertificationServices & {
  writer: Pick<RegistryWriter, 'revokeCertificate'>
  roll: Pick<RollReader, 'certificate'>
}
export type CmpEnrollment = {
  /** Throws a problem where the message is refused. */
  decide(message: CmpMessage, sender: Sender, requestId: string): Promise<CmpAnswer>
  transactions(): number
}

const requestTypes: Readonly<Record<number, CertificateRequestType>> = {
  [bodyTypes.ir]: 'ir',
  [bodyTypes.cr]: 'cr',
  [bodyTypes.p10cr]: 'p10cr',
  [bodyTypes.kur]: 'kur',
}
const CA_CERTS = '1.3.6.1.5.5.7.4.17'

export function createCmpEnrollment(
  services: CmpEnrollmentServices,
  options: { checkAfterSeconds: number },
): CmpEnrollment {
  const { writer, roll, issuers, log, now } = services
  const transactions = createTransactions(now)
  const { certify, granted } = createCertification({ ...services, listed })

  function begin({ header }: CmpMessage, sender: Sender): Transaction {
    const begun = transactions.begin(header.transactionId, transactionSenderOf(sender))
    if (!('refused' in begun)) return begun
    throw begun.refused === 'in use'
      ? new CmpFault('transactionIdInUse', 'transactionID was used before: begin anew with another')
      : new CmpFault(
          'systemUnavail',
          'too many transactions are open: finish those, or try again in 10 minutes',
        )
  }

  /** The transaction that a message goes on with. */
  function goOn({ header }: CmpMessage, sender: Sender): Transaction {
    const found = transactions.find(header.transactionId)
    if (found === null || found.sender !== transactionSenderOf(sender))
      throw new CmpFault('badRequest', 'no such transaction of this sender is open: begin anew')
    if (found.nonce === null || header.recipNonce === null || !header.recipNonce.equals(found.nonce))
      throw new CmpFault('badRecipientNonce', 'recipNonce is not the senderNonce of the last answer')
    return found
  }

  async function listed(fingerprint: string): Promise<Certificate> {
    const certificate = await roll.certificate(fingerprint)
    if (certificate === null) throw new Error('a listed certificate cannot be read back')
    return certificate
  }

  async function poll(message: CmpMessage, sender: Sender): Promise<CmpAnswer> {
    const transaction = goOn(message, sender)
    const { asked } = transaction
    if (asked === null || transaction.state !== 'waiting' || readPoll(message.body) !== asked.requestId)
      throw new CmpFault('badRequest', 'nothing with that certReqId waits in this transaction')
    const certificate = await listed(asked.fingerprint)
    const { status } = certificate
    if (status === 'pending') {
      const body = pollResponse(asked.requestId, options.checkAfterSeconds)
      return { body, transaction, issuerId: null, implicitConfirm: false }
    }
    if (status === 'issued' || status === 'active') return granted(transaction, asked, certificate, sender)
    transaction.state = 'closed'
    if (status === 'rejected')
      throw new Problem(enrollmentProblems, 'enrollment_rejected', 'an operator decided against it')
    throw new CmpFault('certRevoked', `the certificate is ${status} by now`)
  }

  async function confirm(message: CmpMessage, sender: Sender, actor: Actor): Promise<CmpAnswer> {
    const transaction = goOn(message, sender)
    const { asked } = transaction
    if (transaction.state === 'confirmed')
      throw new CmpFault('certConfirmed', 'the certificate was confirmed before')
    const { certHash, hashAlgorithm, requestId, accepted } = readConfirmation(message.body)
    if (asked === null || transaction.state !== 'unconfirmed' || requestId !== asked.requestId)
      throw new CmpFault('badRequest', 'nothing with that certReqId is to be confirmed in this transaction')
    const { der, fingerprint } = await listed(asked.fingerprint)
    const { oid } = readOrThrow(der).signatureAlgorithm
    const expected = confirmationHashOf(der, signatureAlgorithms.get(oid)?.hash ?? null, hashAlgorithm)
    if (expected === null) throw new CmpFault('badAlg', 'hashAlg is none of SHA-256, SHA-384 and SHA-512')
    if (!expected.equals(certHash))
      throw new CmpFault('badCertId', 'certHash is not the hash of the certificate that was issued')
    transaction.state = 'confirmed'
    if (!accepted) await revoke(fingerprint, 'cessationOfOperation', actor)
    return { body: confirmed(), transaction, issuerId: null, implicitConfirm: false }
  }

  async function revokeOwn(message: CmpMessage, sender: Sender, actor: Actor): Promise<CmpAnswer> {
    if (sender.kind !== 'device')
      throw new CmpFault('notAuthorized', 'rr is protected by the certificate that it revokes')
    const { template, reasonCode } = readRevocation(message.body)
    if (!isCertificate(template, readOrThrow(sender.certificate)))
      throw new CmpFault('badCertId', 'certDetails is not the certificate that the request is protected with')
    const reason = ownRevocationReasons[reasonCode ?? 0]
    if (reason === undefined)
      throw new CmpFault(
        'badRequest',
        'this reason is for an operator to give: revoke with one of 0, 3, 4, 5, and tell an operator',
      )
    const transaction = begin(message, sender)
    transaction.state = 'closed'
    await revoke(sender.record.fingerprint, reason, actor)
    return { body: revocationResponse(), transaction, issuerId: null, implicitConfirm: false }
  }

  async function revoke(fingerprint: string, reason: RevocationReason, actor: Actor): Promise<void> {
    await writer.revokeCertificate(fingerprint, reason, actor)
    log.certificateRevoked({ requestId: actor.requestId ?? '', actor: actor.name }, fingerprint, reason, 0)
  }

  function inform(message: CmpMessage, sender: Sender): CmpAnswer {
    const asksForCas = readInfoTypes(message.body).includes(CA_CERTS)
    const own = [...issuers().values()].filter(({ kind, enabled }) => enabled && kind !== 'foreign')
    const issuing = own.filter(({ kind, notAfter }) => kind === 'issuing' && notAfter > now())
    const roots = own.filter(({ kind }) => kind === 'root')
    const ders = [...issuing, ...roots].map(({ certificate }) => certificate.raw)
    const body = caCertificates(asksForCas ? ders : null)
    const transaction = begin(message, sender)
    transaction.state = 'closed'
    return { body, transaction, issuerId: null, implicitConfirm: false }
  }

  return {
    async decide(message, sender, requestId) {
      const kind = sender.kind === 'device' ? 'device' : 'enrollment'
      const actor: Actor = { name: sender.name, kind, requestId }
      const { bodyType } = message
      const type = requestTypes[bodyType]
      if (type !== undefined) return certify(type, message, sender, actor, () => begin(message, sender))
      if (bodyType === bodyTypes.certConf) return confirm(message, sender, actor)
      if (bodyType === bodyTypes.pollReq) return poll(message, sender)
      if (bodyType === bodyTypes.rr) return revokeOwn(message, sender, actor)
      if (bodyType === bodyTypes.genm) return inform(message, sender)
      if (bodyType === bodyTypes.nested)
        throw new CmpFault('badRequest', 'nested messages are not taken: send each by itself')
      throw new CmpFault('badRequest', `this server takes no body [${bodyType}]`)
    },

    transactions: transactions.size,
  }
}
