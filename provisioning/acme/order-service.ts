// Orders as accounts make them: ready at once, since the binding of the account entitles it (RFC 8555 §7.4). What is issued is decided by the services that
// decide about every other way: enrollment for the first certificate, renewal for the next. The name is that of the token, or of the certificate renewed.
import { X509Certificate } from 'node:crypto'
import type { Actor } from '../../db/audit/audit.ts'
import type { AcmeAccount, AcmeAccountStore } from '../../db/enrollment/acme-accounts.ts'
import type { Claim } from '../../db/enrollment/claims.ts'
import type { PresentedToken } from '../../db/enrollment/enrollment-tokens.ts'
import { reasons } from '../../db/reason.ts'
import type { Certificate, RollReader } from '../../db/roll/roll-reader.ts'
import { toPem } from '../../pki/pem.ts'
import type { EnrollmentAuthentication, Presented } from '../enrollment/enrollment-authentication.ts'
import { enrollmentProblems } from '../enrollment/enrollment-problems.ts'
import { type EnrollmentService, holderOf } from '../enrollment/enrollment-service.ts'
import { issuanceProblems } from '../enrollment/issuance-problems.ts'
import type { RegistrationAuthority } from '../enrollment/registration-authority.ts'
import type { Renewable } from '../enrollment/renewal-window.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem, refusal } from '../http/problem.ts'
import type { Log } from '../logging/log.ts'
import type { SelfAuthentication } from '../self-service/self-authentication.ts'
import { selfProblems } from '../self-service/self-problems.ts'
import { tooEarly } from '../self-service/self-routes.ts'
import { type CsrReading, readCsr } from '../x509/csr.ts'
import { acmeFault, orderErrorOf } from './acme-problems.ts'
import { askedFor, type NewOrder } from './new-order.ts'
import { createOrders, type Order } from './orders.ts'
import { certificateIdOf } from './renewal-info.ts'
import type { Payload } from './signed-request.ts'

export type OrderServices = {
  writer: AcmeAccountStore & {
    knownToken: (id: string) => PresentedToken | null
    knownClaim: (id: string) => Claim | null
  }
  roll: Pick<RollReader, 'certificate'>
  authority: Pick<RegistrationAuthority, 'renew'>
  enrollmentService: EnrollmentService
  ca: { opensAt: (certificate: Renewable) => number }
  log: Log
  deviceDays: number
  now: () => number
}
type Parts = {
  enrollment: Pick<EnrollmentAuthentication, 'byToken' | 'byClaim'>
  self: Pick<SelfAuthentication, 'decide'>
  problemOf: (error: unknown) => Problem
}
export type OrderService = ReturnType<typeof createOrderService>

export function createOrderService(services: OrderServices, parts: Parts) {
  const { writer, roll, authority, enrollmentService, log, now } = services
  const orders = createOrders(now)

  /** What the account may ask with: its token or claim, until it holds a certificate. Throws the problem where that opens nothing. */
  function credentialOf({ tokenId, claimId }: AcmeAccount): Presented['credential'] {
    const presented =
      tokenId === null
        ? parts.enrollment.byClaim(writer.knownClaim(claimId ?? ''))
        : parts.enrollment.byToken(writer.knownToken(tokenId))
    if (presented instanceof Problem) throw presented
    return presented.credential
  }

  async function listed(fingerprint: string): Promise<Certificate> {
    const certificate = await roll.certificate(fingerprint)
    if (certificate === null) throw new Error('a listed certificate cannot be read back')
    return certificate
  }

  /** The record of the certificate that the account may renew. Throws `admission_refused` where it is not admitted. */
  function renewable({ der }: Certificate) {
    const admission = parts.self.decide(new X509Certificate(der))
    if (admission.admitted) return admission.record
    throw new Problem(selfProblems, 'admission_refused', reasons[admission.reason].title, {
      errors: [{ path: 'certificate', message: admission.reason }],
    })
  }

  /** Refuses what could not be finalized, before a client makes a key for it. */
  async function open(account: AcmeAccount, payload: Payload | null): Promise<Order> {
    const asked = askedFor(payload)
    if (account.fingerprint === null) credentialOf(account)
    else await assertMayRenew(account.fingerprint)
    await assertReplaceable(account, asked)
    const order = orders.open(account.id, asked.identifiers, asked.replaces)
    if (order !== null) return order
    throw new Problem(httpProblems, 'rate_limited', 'too many orders are open', { retryAfterSeconds: 600 })
  }

  async function assertMayRenew(fingerprint: string): Promise<void> {
    const certificate = await listed(fingerprint)
    const opensAt = services.ca.opensAt(renewable(certificate))
    // One that was never used may be asked for again, by its own key.
    if (certificate.firstUsedAt !== null && now() < opensAt) throw tooEarly(opensAt, now())
  }

  /** RFC 9773 §5: the certificate is this account's, and no other order that is not invalid replaces it. */
  async function assertReplaceable({ id, fingerprint }: AcmeAccount, { replaces }: NewOrder): Promise<void> {
    if (replaces === null) return
    if (fingerprint === null || certificateIdOf((await listed(fingerprint)).der) !== replaces)
      throw acmeFault('acme_malformed', 'replaces: it is not the certificate that this account obtained last')
    if (orders.of(id).some(order => order.replaces === replaces && order.state !== 'invalid'))
      throw acmeFault(
        'acme_certificate_replaced',
        'replaces: another order replaces this certificate already',
      )
  }

  /** The order, which must be this account's: others get no word of it. */
  function find(account: AcmeAccount, id: string): Order {
    const order = orders.find(id)
    if (order === null || order.accountId !== account.id)
      throw acmeFault(
        'acme_malformed',
        'there is no such order of this account, or it has ended: make another',
      )
    return order
  }

  async function finalize(
    account: AcmeAccount,
    order: Order,
    payload: Payload | null,
    requestId: string,
  ): Promise<void> {
    for (const own of orders.of(account.id)) await settle(account, own)
    if (order.state !== 'ready') throw acmeFault('acme_order_not_ready', `the order is ${order.state}`)
    assertOneDevice(account, order)
    order.state = 'processing'
    try {
      const reading = await csrIn(payload)
      if (reading.accepted && writer.acmeAccountOfKey(reading.key.spkiHash) !== null)
        throw refusal(issuanceProblems, keyOfAccount)
      // By now another order may have obtained one.
      order.fingerprint = await issue(writer.acmeAccount(account.id) ?? account, order, reading, requestId)
      await settle(account, order)
    } catch (error) {
      const problem = parts.problemOf(error)
      // A request that is wrong, and an outage, may be followed by another; a refusal is final.
      const mayTryAgain = problem.definition.status === 400 || problem.definition.status >= 500
      order.state = mayTryAgain ? 'ready' : 'invalid'
      if (!mayTryAgain) order.error = orderErrorOf(problem)
      throw error
    }
  }

  /** The account of a claim enrolls one device: not another beside one that is decided about, or waits. */
  function assertOneDevice({ id, claimId }: AcmeAccount, order: Order): void {
    const nameOf = ({ identifiers }: Order) => identifiers[0]!.value
    const isOther = (own: Order) => own.state === 'processing' && nameOf(own) !== nameOf(order)
    if (claimId === null || !orders.of(id).some(isOther)) return
    const detail = 'another order of this account, for another device, is being decided about'
    throw new Problem(httpProblems, 'service_busy', detail, { retryAfterSeconds: 60 })
  }

  /** Enrolls or renews; gives the fingerprint of what is listed, which may wait for an operator. */
  async function issue(
    account: AcmeAccount,
    order: Order,
    csr: CsrReading,
    requestId: string,
  ): Promise<string> {
    const held = account.fingerprint === null ? null : await listed(account.fingerprint)
    if (held === null) {
      const credential = credentialOf(account)
      const actor: Actor = { name: holderOf(credential), kind: 'enrollment', requestId }
      const outcome = await enrollmentService.enroll(
        credential,
        { deviceId: nameFor(credential, order), csr },
        actor,
      )
      if ('refused' in outcome) throw refusal(issuanceProblems, outcome)
      note(actor, outcome.certificate, outcome.pending ? 'pending' : 'enrolled')
      return outcome.certificate.fingerprint
    }
    const current = renewable(held)
    // A lost answer: the same key again gets the same certificate until it is used.
    if (csr.accepted && csr.key.spkiHash === held.spkiHash && held.firstUsedAt === null)
      return held.fingerprint
    const actor: Actor = { name: `device:${held.deviceId}`, kind: 'device', requestId }
    const outcome = await authority.renew(
      { current, csr, days: services.deviceDays, compromise: false },
      actor,
    )
    if ('refused' in outcome) throw refusal(issuanceProblems, outcome)
    if ('opensAt' in outcome) throw tooEarly(outcome.opensAt, now())
    const certificate = await listed(outcome.fingerprint)
    note(actor, certificate, certificate.status === 'pending' ? 'pending' : 'renewed')
    return outcome.fingerprint
  }

  /** A token for a device names it; a claim, and a token for a group, leave the name to the client, whose only identifier it is. */
  function nameFor(credential: Presented['credential'], { identifiers }: Order): string | null {
    const isNamed = credential.kind === 'token' && writer.knownToken(credential.id)?.deviceId !== null
    return isNamed || identifiers.length !== 1 ? null : identifiers[0]!.value
  }

  function note(actor: Actor, { deviceId, fingerprint }: Certificate, how: string): void {
    log.certificateListed({ requestId: actor.requestId ?? '', actor: actor.name }, deviceId, fingerprint, how)
  }

  /** Brings an order with a certificate to where that is by now. */
  async function settle(account: AcmeAccount, order: Order): Promise<void> {
    if (order.state !== 'processing' || order.fingerprint === null) return
    const { status } = await listed(order.fingerprint)
    if (status === 'pending') return
    if (status === 'issued' || status === 'active') {
      if (account.fingerprint !== order.fingerprint)
        await writer.noteAcmeCertificate(account.id, order.fingerprint)
      order.state = 'valid'
      return
    }
    order.state = 'invalid'
    order.error = orderErrorOf(
      new Problem(enrollmentProblems, 'enrollment_rejected', `the certificate is ${status} by now`),
    )
  }

  return {
    open,
    find,
    finalize,
    settle,
    ofAccount: ({ id }: AcmeAccount) => orders.of(id),
    /** Whether the account obtained the certificate, as far as that is known here. */
    isObtainedBy: (account: AcmeAccount, fingerprint: string) =>
      account.fingerprint === fingerprint ||
      orders.of(account.id).some(order => order.state === 'valid' && order.fingerprint === fingerprint),
  }
}

const keyOfAccount = {
  refused: 'key_unacceptable',
  faults: [
    { path: 'csr', message: 'it is for the key of an account (RFC 8555 §11.1): make a key for the device' },
  ],
} as const

/** `csr` is base64url of DER (RFC 8555 §7.4). */
export async function csrIn(payload: Payload | null): Promise<CsrReading> {
  const csr = payload?.['csr']
  if (typeof csr !== 'string' || !/^[A-Za-z0-9_-]+$/.test(csr))
    throw acmeFault('acme_malformed', 'payload: csr is no PKCS #10 request in base64url')
  return readCsr(toPem(Buffer.from(csr, 'base64url'), 'CERTIFICATE REQUEST'))
}
