// A device enrolls itself with what it was handed: a one-time token or a claim certificate.
// JSON, or a bare PKCS #10 request answered by the bare certificate: curl and openssl are enough.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Api, refusals } from '../http/api.ts'
import { refusal } from '../http/problem.ts'
import { toCertificateWithPemResponse } from '../http/roll-responses.ts'
import { CertificateWithPem } from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { PKCS10, takePkcs10 } from '../x509/pkcs10-body.ts'
import { sendCertificate } from './certificate-answer.ts'
import type { EnrollmentAuthentication, Presented } from './enrollment-authentication.ts'
import * as schemas from './enrollment-schemas.ts'
import type { EnrollmentService } from './enrollment-service.ts'
import { type Asked, type Enrolled, holderOf } from './enrollment-service.ts'
import { issuanceProblems } from './issuance-problems.ts'

export type DeviceEnrollmentServices = {
  enrollmentService: EnrollmentService
  /** PEM of an issuer and of what stands above it up to, but without, the root; and of the root. */
  chainOf: (issuerId: string | null) => { chain: string[]; ca: string | null }
  log: Log
}

/** How long to wait before asking again whether an operator has decided. */
export const PENDING_RETRY_SECONDS = 60

export function enrollRoutes(
  api: Api,
  services: DeviceEnrollmentServices,
  authentication: EnrollmentAuthentication,
): void {
  const present = (request: FastifyRequest, reply: FastifyReply) =>
    authentication.present(request, reply, 'Bearer')
  takePkcs10(api)

  api.post(
    '/v1/enroll',
    {
      schema: {
        tags: ['enrollment'],
        summary: 'Enroll with a one-time token or a claim certificate',
        description:
          'The token comes as Authorization: Bearer. The same key again gets the same certificate for 10 minutes. 202 while the enrollment waits for an operator: send the same request again.',
        security: [{ enrollment: [] }],
        consumes: ['application/json', PKCS10],
        querystring: schemas.EnrollmentQuery,
        body: schemas.Enrollment,
        response: { 201: CertificateWithPem, 202: schemas.PendingEnrollment, ...refusals },
      },
      // Before a body is read: a stranger has nothing parsed.
      onRequest: async (request, reply) => {
        await present(request, reply)
      },
    },
    async (request, reply) => {
      // Asked again: a body may take its time to arrive.
      const presented = await present(request, reply)
      const { csr, deviceId = request.query.deviceId ?? null } = request.body
      const { certificate, pending } = await enroll(services, request, presented, { csr, deviceId })
      const { deviceId: enrolled, fingerprint } = certificate
      if (pending) {
        reply.header('retry-after', String(PENDING_RETRY_SECONDS))
        return reply.code(202).send({ status: 'pending' as const, deviceId: enrolled, fingerprint })
      }
      const answer = toCertificateWithPemResponse(certificate, services.chainOf)
      return sendCertificate(request, reply.code(201), certificate.der, answer)
    },
  )
}

/** One enrollment, whatever the protocol. Throws the problem where it is refused. */
export async function enroll(
  { enrollmentService, log }: DeviceEnrollmentServices,
  request: FastifyRequest,
  { credential }: Presented,
  asked: Asked,
): Promise<Enrolled> {
  const name = holderOf(credential)
  const outcome = await enrollmentService.enroll(credential, asked, {
    name,
    kind: 'enrollment',
    requestId: request.id,
  })
  if ('refused' in outcome) throw refusal(issuanceProblems, outcome)
  const { certificate, pending } = outcome
  const how = pending ? 'pending' : 'enrolled'
  log.certificateListed(
    { requestId: request.id, actor: name },
    certificate.deviceId,
    certificate.fingerprint,
    how,
  )
  return outcome
}
