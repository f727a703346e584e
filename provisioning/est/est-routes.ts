// Enrollment over Secure Transport (RFC 7030, RFC 8951): cacerts, csrattrs, simpleenroll, simplereenroll, with and without label.
// A label names the group of the enrolling credential: it narrows, and never chooses.

import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Actor } from '../../db/audit/audit.ts'
import type { RegistryWriter } from '../../db/index.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { Certificate, RollReader } from '../../db/roll/roll-reader.ts'
import { enroll, PENDING_RETRY_SECONDS } from '../enrollment/device-enrollment-routes.ts'
import type { EnrollmentAuthentication } from '../enrollment/enrollment-authentication.ts'
import { enrollmentProblems } from '../enrollment/enrollment-problems.ts'
import type { EnrollmentService } from '../enrollment/enrollment-service.ts'
import { isForGroup } from '../enrollment/group-label.ts'
import { issuanceProblems } from '../enrollment/issuance-problems.ts'
import type { RegistrationAuthority } from '../enrollment/registration-authority.ts'
import { type Api, refusals } from '../http/api.ts'
import { Problem, refusal } from '../http/problem.ts'
import type { ChainOf } from '../http/roll-responses.ts'
import { Name, NoQuery, strict } from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import type { SelfAuthentication } from '../self-service/self-authentication.ts'
import { tooEarly } from '../self-service/self-routes.ts'
import { Renewal } from '../self-service/self-schemas.ts'
import { PKCS10, takePkcs10 } from '../x509/pkcs10-body.ts'
import { deviceAskedFor, namesOfCertificate, namesOfRequest } from '../x509/request-names.ts'
import { x509Problems } from '../x509/x509-problems.ts'
import { CERTS_ONLY, CSR_ATTRIBUTES, certsOnly, csrAttributes } from './est.ts'
import { capitalizeHeaders, isLibest, wrapped } from './libest.ts'

type EstServices = {
  writer: RegistryWriter
  roll: RollReader
  authority: RegistrationAuthority
  enrollmentService: EnrollmentService
  chainOf: ChainOf
  issuers: () => Map<string, Issuer>
  log: Log
  deviceDays: number
  now: () => number
}

type Label = { label?: string }
type EstParts = {
  enrollment: EnrollmentAuthentication
  self: SelfAuthentication
  /** How long after its end a certificate may still be renewed, in ms. */
  renewExpiredMs: number
}

const Bare = Type.Pick(Renewal, ['csr'])

export function estRoutes(api: Api, services: EstServices, parts: EstParts): void {
  // A bare PKCS #10 request is all that is taken here.
  api.removeAllContentTypeParsers()
  takePkcs10(api)
  api.addHook('onRequest', async (request, reply) => {
    if (isLibest(request.headers['user-agent'])) capitalizeHeaders(reply.raw)
  })
  api.addHook('onSend', async (request, reply, payload) =>
    typeof payload === 'string' && isBase64(reply) && isLibest(request.headers['user-agent'])
      ? wrapped(payload)
      : payload,
  )
  for (const path of ['/.well-known/est', '/.well-known/est/:label']) addRoutes(api, path, services, parts)
}

function addRoutes(api: Api, path: string, services: EstServices, parts: EstParts): void {
  const { authority, roll, issuers, log, now } = services
  const { enrollment, self } = parts
  const params = path.endsWith(':label') ? { params: Type.Object({ label: Name }, strict) } : {}
  // Clients of EST are small: strongSwan's reads an answer's head in 1,024 bytes, and no page is served here.
  const lean = { helmet: false as const }
  const common = { tags: ['est'], querystring: NoQuery, ...params }

  const caCertificates = createCaCertificates()
  api.get(
    `${path}/cacerts`,
    {
      ...lean,
      schema: {
        ...common,
        summary: 'The CA certificates that devices trust (RFC 7030 §4.1)',
        response: { 200: Type.String(), ...refusals },
      },
    },
    async (_, reply) => {
      const own = [...issuers().values()].filter(({ kind, enabled }) => enabled && kind !== 'foreign')
      const root = own.filter(({ kind }) => kind === 'root')
      const issuing = own.filter(({ kind, notAfter }) => kind === 'issuing' && notAfter > now())
      return reply.type(CERTS_ONLY).send(caCertificates([...issuing, ...root]))
    },
  )

  api.get(
    `${path}/csrattrs`,
    {
      ...lean,
      schema: {
        ...common,
        summary: 'What a request should hold (RFC 7030 §4.5)',
        response: { 200: Type.String(), ...refusals },
      },
    },
    async (_, reply) => reply.type(CSR_ATTRIBUTES).send(csrAttributes),
  )

  api.post(
    `${path}/simpleenroll`,
    {
      ...lean,
      schema: {
        ...common,
        summary:
          'Enroll with HTTP Basic (device : one-time token), a claim certificate or an IDevID (RFC 7030 §4.2.1)',
        description:
          'Base64 of a PKCS #10 request; DER and PEM are taken too. 202 with Retry-After while it waits for an operator.',
        security: [{ est: [] }],
        consumes: [PKCS10],
        body: Bare,
        response: { 200: Type.String(), 202: Type.String(), ...refusals },
      },
      // Before a body is read: a stranger has nothing parsed.
      onRequest: async (request, reply) => {
        await enrollment.present(request, reply, 'Basic')
      },
    },
    async (request, reply) => {
      const presented = await enrollment.present(request, reply, 'Basic')
      const { csr } = request.body
      await assertLabel(request, presented.credential)
      // A claim leaves the name to the device; tokens and IDevIDs do not.
      const byClaim = presented.credential.kind === 'claim'
      const deviceId = presented.named ?? (byClaim ? deviceAskedFor(csr) : null)
      const { certificate, pending } = await enroll(services, request, presented, { csr, deviceId })
      return pending ? sendPending(reply) : sendCertificates(reply, [certificate.der])
    },
  )

  api.post(
    `${path}/simplereenroll`,
    {
      ...lean,
      schema: {
        ...common,
        summary: 'Renew or rekey with the current certificate (RFC 7030 §4.2.2)',
        description: 'The request must name the same subject and subjectAltName as the certificate.',
        consumes: [PKCS10],
        body: Bare,
        response: { 200: Type.String(), 202: Type.String(), ...refusals },
      },
      onRequest: async request => {
        await self.admit(request, parts.renewExpiredMs)
      },
    },
    async (request, reply) => {
      const current = await self.admit(request, parts.renewExpiredMs)
      const { csr } = request.body
      const { deviceId } = current
      await assertLabel(request, { deviceId })
      await assertSameNames(csr, current.fingerprint)
      const order = { current, csr, days: services.deviceDays, compromise: false }
      const actor: Actor = { name: `device:${deviceId}`, kind: 'device', requestId: request.id }
      const outcome = await authority.renew(order, actor)
      if ('refused' in outcome) throw refusal(issuanceProblems, outcome)
      if ('opensAt' in outcome) throw tooEarly(outcome.opensAt, now())
      const { fingerprint, der, status } = await listed(outcome.fingerprint)
      const pending = status === 'pending'
      const caller = { requestId: request.id, actor: actor.name }
      log.certificateListed(caller, deviceId, fingerprint, pending ? 'pending' : 'renewed')
      return pending ? sendPending(reply) : sendCertificates(reply, [der])
    },
  )

  async function assertLabel(
    request: FastifyRequest,
    shown: Parameters<typeof isForGroup>[2],
  ): Promise<void> {
    const { label } = request.params as Label
    if (label === undefined || (await isForGroup(services, label, shown))) return
    const detail = `what was shown is not for the group ${label}`
    throw new Problem(enrollmentProblems, 'est_label_refused', detail)
  }

  /** The same subject and subjectAltName: a renewal keeps the identity. */
  async function assertSameNames(csr: string, fingerprint: string): Promise<void> {
    const asked = namesOfRequest(csr)
    if (asked === null)
      throw new Problem(x509Problems, 'csr_invalid', 'csr: it is not a PKCS #10 certification request')
    const held = namesOfCertificate((await listed(fingerprint)).der)
    const errors = (['subject', 'subjectAltName'] as const)
      .filter(name => asked[name] !== held?.[name])
      .map(name => ({ path: `csr.${name}`, message: 'it is not that of the current certificate' }))
    if (errors.length > 0) {
      throw new Problem(
        enrollmentProblems,
        'csr_names_changed',
        'the request names somebody else than the certificate does',
        {
          errors,
        },
      )
    }
  }

  async function listed(fingerprint: string): Promise<Certificate> {
    const certificate = await roll.certificate(fingerprint)
    if (certificate === null) throw new Error('a listed certificate cannot be read back')
    return certificate
  }
}

/** Everybody may ask for them, and they change about once a year: they are put together once. */
function createCaCertificates() {
  let last = { ids: '', text: '' }
  return (issuers: readonly Issuer[]): string => {
    const ids = issuers.map(({ id }) => id).join()
    if (ids !== last.ids) last = { ids, text: certsOnly(issuers.map(({ certificate }) => certificate.raw)) }
    return last.text
  }
}

/** What is not a problem document, or words. */
function isBase64(reply: FastifyReply): boolean {
  return [CERTS_ONLY, CSR_ATTRIBUTES].includes(String(reply.getHeader('content-type')))
}

function sendCertificates(reply: FastifyReply, ders: readonly Buffer[]): FastifyReply {
  return reply.type(CERTS_ONLY).send(certsOnly(ders))
}

function sendPending(reply: FastifyReply): FastifyReply {
  return reply
    .code(202)
    .header('retry-after', String(PENDING_RETRY_SECONDS))
    .type('text/plain; charset=utf-8')
    .send('The enrollment waits for an operator. Send the same request again.\n')
}
