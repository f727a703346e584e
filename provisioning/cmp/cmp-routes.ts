// CMP over HTTP (RFC 9811): every message to one address, or to that of a group, which narrows and never chooses; and to those of the operations of RFC 9483
// §6.1. Every answer in CMP has the status 200; one without has failed in HTTP.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { EnrollmentTokenStore } from '../../db/enrollment/enrollment-tokens.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import type { EnrollmentAuthentication } from '../enrollment/enrollment-authentication.ts'
import { isForGroup } from '../enrollment/group-label.ts'
import type { SharedSecrets } from '../enrollment/shared-secrets.ts'
import { type Api, refusals } from '../http/api.ts'
import { presentedCertificate } from '../http/peer-certificate.ts'
import type { Problem } from '../http/problem.ts'
import { Name, NoQuery, OneOf, strict } from '../http/schemas.ts'
import type { SelfAuthentication } from '../self-service/self-authentication.ts'
import { createCmpAuthentication, type Sender } from './cmp-authentication.ts'
import { type CmpEnrollmentServices, createCmpEnrollment } from './cmp-enrollment.ts'
import { CmpFault } from './cmp-problems.ts'
import { createCmpService } from './cmp-service.ts'
import { bodyTypes } from './message-reader.ts'

export type CmpServices = CmpEnrollmentServices & {
  writer: EnrollmentTokenStore
  roll: RollReader
  secrets: SharedSecrets
  ca: { manager: { current: () => IssuingCa } }
  cmpCheckAfterSeconds: number
}
type CmpParts = {
  enrollment: EnrollmentAuthentication
  self: SelfAuthentication
  problemOf: (error: unknown) => Problem
  addressOf: (ip: string) => string
}

const PKIX_CMP = 'application/pkixcmp'
/** A request with a certificate chain has some 4 KiB, one with keys of ML-DSA-87 some 20. */
const BODY_BYTES_MAX = 32 * 1024

/** Operations of RFC 9483 §6.1, and the body that begins each; what goes on with it comes to the same address. */
const operations = {
  initialization: bodyTypes.ir,
  certification: bodyTypes.cr,
  keyupdate: bodyTypes.kur,
  pkcs10: bodyTypes.p10cr,
  revocation: bodyTypes.rr,
  getcacerts: bodyTypes.genm,
} as const
type Operation = keyof typeof operations
type Params = { label?: string; operation?: Operation }

export function cmpRoutes(api: Api, services: CmpServices, parts: CmpParts): void {
  const { writer, roll, secrets, issuers, log, now } = services
  const service = createCmpService({
    authentication: createCmpAuthentication({ ...writer, secrets, ...parts }),
    enrollment: createCmpEnrollment(services, { checkAfterSeconds: services.cmpCheckAfterSeconds }),
    ca: services.ca.manager.current,
    problemOf: parts.problemOf,
    issuers,
    now,
  })
  api.removeAllContentTypeParsers()
  api.addContentTypeParser(
    PKIX_CMP,
    { parseAs: 'buffer', bodyLimit: BODY_BYTES_MAX },
    (_request, body, done) => done(null, body),
  )

  async function answer(request: FastifyRequest, { label, operation }: Params): Promise<Buffer> {
    const route = request.routeOptions.url ?? 'unknown'
    return service.answer(request.body as Buffer, {
      requestId: request.id,
      tls: presentedCertificate(request),
      address: parts.addressOf(request.ip),
      counted: problem => parts.enrollment.counted(request, problem),
      refused(problem) {
        const { reason, definition } = problem
        const fields = { requestId: request.id, route, reason }
        const failed = definition.status >= 500 && reason !== 'service_busy'
        if (failed) log.requestFailed(fields, problem.cause ?? problem)
        else log.requestRefused({ ...fields, status: definition.status })
      },
      async assertAddressed(sender, bodyType) {
        const goesOn = bodyType === bodyTypes.certConf || bodyType === bodyTypes.pollReq
        if (operation !== undefined && !goesOn && bodyType !== operations[operation])
          throw new CmpFault('badRequest', `the address is for another message than this: /${operation}`)
        if (label === undefined || (await isFor(label, sender))) return
        throw new CmpFault('notAuthorized', `what protects the message is not for the group ${label}`)
      },
    })
  }

  const isFor = (label: string, sender: Sender) =>
    sender.kind === 'device'
      ? isForGroup({ roll, writer }, label, { deviceId: sender.record.deviceId })
      : isForGroup({ roll, writer }, label, sender.credential)

  const Operations = OneOf(Object.keys(operations) as Operation[])
  const addresses = {
    '/.well-known/cmp': {},
    '/.well-known/cmp/:operation': { operation: Operations },
    '/.well-known/cmp/p/:label': { label: Name },
    '/.well-known/cmp/p/:label/:operation': { label: Name, operation: Operations },
  }
  for (const [path, named] of Object.entries(addresses)) {
    const params = Object.keys(named).length > 0 ? { params: Type.Object(named, strict) } : {}
    api.post(
      path,
      {
        // Its clients are small, and no page is served here.
        helmet: false,
        bodyLimit: BODY_BYTES_MAX,
        schema: {
          tags: ['cmp'],
          summary: 'Enroll, renew or revoke by a CMP message (RFC 9810, RFC 9811)',
          description:
            'ir, cr, kur, p10cr, rr, genm, certConf and pollReq in DER. The message is authenticated by its MAC or signature, or by the TLS certificate around it.',
          security: [{}],
          consumes: [PKIX_CMP],
          querystring: NoQuery,
          ...params,
          response: { 200: Type.Unsafe<Buffer>({ type: 'string', format: 'binary' }), ...refusals },
        },
      },
      async (request, reply) => {
        return reply.type(PKIX_CMP).send(await answer(request, request.params as Params))
      },
    )
  }
}
