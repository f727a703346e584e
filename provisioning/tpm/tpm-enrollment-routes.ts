// A device enrolls by its TPM: it shows its keys and gets a challenge, answers it, and gets its certificate. Two requests of a device with
// nothing but tpm2-tools and curl.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { sendCertificate } from '../enrollment/certificate-answer.ts'
import { PENDING_RETRY_SECONDS } from '../enrollment/device-enrollment-routes.ts'
import type { EnrollmentAuthentication } from '../enrollment/enrollment-authentication.ts'
import { PendingEnrollment } from '../enrollment/enrollment-schemas.ts'
import { type Api, refusals, time } from '../http/api.ts'
import { Problem } from '../http/problem.ts'
import { type ChainOf, toCertificateWithPemResponse } from '../http/roll-responses.ts'
import { CertificateWithPem, NoQuery } from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { CHALLENGE_SECONDS } from './challenges.ts'
import type { TpmEnrollment } from './tpm-enrollment.ts'
import { base64In } from './tpm-proof.ts'
import * as schemas from './tpm-schemas.ts'

export type TpmEnrollmentServices = {
  tpmEnrollment: TpmEnrollment
  chainOf: ChainOf
  log: Log
  now: () => number
}

/** Refusals that cost the address one of its failures a minute: guesses, and TPMs of strangers. */
const counted: ReadonlySet<string> = new Set(['tpm_unknown', 'tpm_secret_wrong', 'tpm_session_unknown'])

export function tpmEnrollmentRoutes(
  api: Api,
  services: TpmEnrollmentServices,
  parts: { authentication: EnrollmentAuthentication; addressOf: (ip: string) => string },
): void {
  const { tpmEnrollment, chainOf, log, now } = services
  const { authentication, addressOf } = parts
  const about = { tags: ['enrollment'], querystring: NoQuery, security: [{}, { enrollment: [] }] }
  const path = '/v1/enroll/tpm'

  /** The token beside the TPM, where one was sent. */
  async function tokenOf(request: FastifyRequest, reply: FastifyReply) {
    if (request.headers.authorization === undefined) return null
    const { credential } = await authentication.present(request, reply, 'Bearer')
    return credential.kind === 'token' ? credential : null
  }

  async function countingFailures<T>(request: FastifyRequest, work: Promise<T>): Promise<T> {
    return work.catch(async error => {
      if (!(error instanceof Problem) || !counted.has(error.reason)) throw error
      throw await authentication.counted(request, error)
    })
  }

  api.post(
    path,
    {
      schema: {
        ...about,
        summary: 'Ask for a challenge that proves a TPM 2.0 and a key in it',
        description:
          'TPM2_MakeCredential for the endorsement key and the Name of the key. A manufacturer set to vouch for TPMs, the endorsement key on record, or an enrollment token lets the device enroll.',
        body: schemas.TpmChallengeRequest,
        response: { 201: schemas.TpmChallenge, ...refusals },
      },
      onRequest: async (request, reply) => {
        await tokenOf(request, reply)
      },
    },
    async (request, reply) => {
      const token = await tokenOf(request, reply)
      const { deviceId = null, ...documents } = request.body
      const asked = { deviceId, token, address: addressOf(request.ip), id: request.id }
      const { session, credential } = await countingFailures(
        request,
        tpmEnrollment.challenge(documents, asked),
      )
      const expiresAt = time(now() + CHALLENGE_SECONDS * 1_000)
      reply.code(201).header('location', `${path}/${session}`)
      return reply.send({ session, credential: credential.toString('base64'), expiresAt })
    },
  )

  api.post(
    `${path}/:session`,
    {
      schema: {
        ...about,
        summary: 'Answer the challenge of a TPM, and get the certificate',
        description:
          'Once for each challenge. The same key again gets the same certificate by a new challenge. 202 while the certificate waits for an operator: begin again later.',
        params: schemas.SessionParams,
        body: schemas.TpmActivation,
        response: { 201: CertificateWithPem, 202: PendingEnrollment, ...refusals },
      },
      onRequest: async (request, reply) => {
        await tokenOf(request, reply)
      },
    },
    async (request, reply) => {
      const token = await tokenOf(request, reply)
      // What is no base64 is a wrong secret, and uses the challenge up like any other.
      const secret = base64In(request.body.secret) ?? Buffer.alloc(0)
      const activation = tpmEnrollment.activate(request.params.session, secret, token, request.id)
      const { certificate, pending, actor } = await countingFailures(request, activation)
      const { deviceId, fingerprint } = certificate
      const caller = { requestId: request.id, actor }
      log.certificateListed(caller, deviceId, fingerprint, pending ? 'pending' : 'enrolled')
      if (pending) {
        reply.header('retry-after', String(PENDING_RETRY_SECONDS))
        return reply.code(202).send({ status: 'pending' as const, deviceId, fingerprint })
      }
      const answer = toCertificateWithPemResponse(certificate, chainOf)
      return sendCertificate(request, reply.code(201), certificate.der, answer)
    },
  )
}
