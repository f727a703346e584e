// Requests for certificates in CMP: ir, cr, p10cr and kur, decided by the services that decide about every other way, and what is granted.
// A certificate is listed when it is issued; confirmation never lists one.
import type { Actor } from '../../db/audit/audit.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { Certificate } from '../../db/roll/roll-reader.ts'
import { readOrThrow } from '../../pki/certificate-facts.ts'
import { enrollmentProblems } from '../enrollment/enrollment-problems.ts'
import type { EnrollmentService } from '../enrollment/enrollment-service.ts'
import { issuanceProblems } from '../enrollment/issuance-problems.ts'
import type { RegistrationAuthority } from '../enrollment/registration-authority.ts'
import { Problem, refusal } from '../http/problem.ts'
import type { Log } from '../logging/log.ts'
import { tooEarly } from '../self-service/self-routes.ts'
import type { Sender } from './cmp-authentication.ts'
import { CmpFault } from './cmp-problems.ts'
import type { CmpMessage } from './message-reader.ts'
import { type Body, type CertificateRequestType, certificateResponse } from './message-writer.ts'
import {
  deviceAskedForIn,
  isCertificate,
  namesUnlike,
  pkcs10Request,
  type RequestedCertificate,
  templateRequest,
} from './requested-certificate.ts'
import type { Asked, Transaction } from './transactions.ts'

/** `issuerId` is that of the certificate in the body. */
export type CmpAnswer = {
  body: Body
  transaction: Transaction
  issuerId: string | null
  implicitConfirm: boolean
}
export type CertificationServices = {
  authority: Pick<RegistrationAuthority, 'renew'>
  enrollmentService: EnrollmentService
  issuers: () => Map<string, Issuer>
  log: Log
  deviceDays: number
  now: () => number
}
export type Certification = ReturnType<typeof createCertification>

export function createCertification(
  services: CertificationServices & { listed: (fingerprint: string) => Promise<Certificate> },
) {
  const { authority, enrollmentService, issuers, log, now } = services

  async function certify(
    type: CertificateRequestType,
    message: CmpMessage,
    sender: Sender,
    actor: Actor,
    begin: () => Transaction,
  ): Promise<CmpAnswer> {
    const request = type === 'p10cr' ? await pkcs10Request(message.body) : templateRequest(message.body)
    if (sender.kind === 'device' && type === 'ir')
      throw new CmpFault('badRequest', 'ir is for a device that has no certificate of ours: renew with kur')
    if (sender.kind === 'enrolling' && type === 'kur')
      throw new CmpFault('badRequest', 'kur is protected by the certificate that it renews: enroll with ir')
    const transaction = begin()
    const issuing =
      sender.kind === 'device' ? renew(type, request, sender, actor) : enroll(request, sender, actor)
    const fingerprint = await issuing.catch(error => {
      transaction.state = 'closed'
      throw error
    })
    const certificate = await services.listed(fingerprint)
    const pending = certificate.status === 'pending'
    const how = pending ? 'pending' : sender.kind === 'device' ? 'renewed' : 'enrolled'
    log.certificateListed(
      { requestId: actor.requestId ?? '', actor: actor.name },
      certificate.deviceId,
      fingerprint,
      how,
    )
    transaction.asked = {
      ...{ type, requestId: type === 'p10cr' ? -1 : 0, fingerprint },
      implicitConfirm: message.header.implicitConfirm,
      grantedWithMods: namesUnlike(request, certificate.der).length > 0,
    }
    return granted(transaction, transaction.asked, certificate, sender)
  }

  async function renew(
    type: CertificateRequestType,
    request: RequestedCertificate,
    { record, certificate }: Extract<Sender, { kind: 'device' }>,
    actor: Actor,
  ): Promise<string> {
    const { old } = request
    if (old !== null && !isCertificate(old, readOrThrow(certificate)))
      throw new CmpFault('badCertId', 'oldCertId is not the certificate that the request is protected with')
    if (old === null && type === 'kur')
      throw new CmpFault('badCertId', 'oldCertId is missing: it names the certificate that kur renews')
    const changed = namesUnlike(request, certificate)
    if (changed.length > 0) {
      const message = 'it is not that of the current certificate'
      const errors = changed.map(name => ({ path: `certTemplate.${name}`, message }))
      const detail = 'the request names somebody else than the certificate does'
      throw new Problem(enrollmentProblems, 'csr_names_changed', detail, { errors })
    }
    const order = { current: record, csr: request.reading, days: services.deviceDays, compromise: false }
    const outcome = await authority.renew(order, actor)
    if ('refused' in outcome) throw refusal(issuanceProblems, outcome)
    if ('opensAt' in outcome) throw tooEarly(outcome.opensAt, now())
    return outcome.fingerprint
  }

  async function enroll(
    request: RequestedCertificate,
    { credential, token }: Extract<Sender, { kind: 'enrolling' }>,
    actor: Actor,
  ): Promise<string> {
    // A claim, and a token for a group, leave the name to the device; others do not.
    const leavesName = credential.kind === 'claim' || (token !== null && token.deviceId === null)
    const deviceId = leavesName ? deviceAskedForIn(request) : null
    const outcome = await enrollmentService.enroll(credential, { deviceId, csr: request.reading }, actor)
    if ('refused' in outcome) throw refusal(issuanceProblems, outcome)
    return outcome.certificate.fingerprint
  }

  /** The certificate, or that it waits for an operator. */
  function granted(
    transaction: Transaction,
    asked: Asked,
    { der, status, issuerId }: Certificate,
    sender: Sender,
  ): CmpAnswer {
    const { implicitConfirm, grantedWithMods } = asked
    if (status === 'pending') {
      transaction.state = 'waiting'
      const text = 'it waits for an operator'
      const body = certificateResponse(asked, { status: 'waiting' }, text, [])
      return { body, transaction, issuerId: null, implicitConfirm: false }
    }
    transaction.state = implicitConfirm ? 'confirmed' : 'unconfirmed'
    // The secret vouches for the root, which a signature by our CA could not.
    const caPubs = sender.mac === null ? [] : rootOf(issuerId)
    const grant = { status: grantedWithMods ? 'grantedWithMods' : 'accepted', certificate: der } as const
    const text = grantedWithMods ? 'the subject is that of the device on record' : null
    const body = certificateResponse(asked, grant, text, caPubs)
    return { body, transaction, issuerId, implicitConfirm }
  }

  function rootOf(issuerId: string | null): Buffer[] {
    const roots = [...issuers().values()].filter(({ kind, enabled }) => enabled && kind === 'root')
    return issuerId === null ? [] : roots.map(({ certificate }) => certificate.raw)
  }

  return { certify, granted }
}
