// Enrollment: a CSR becomes a listed certificate, a foreign certificate is registered, a canary is made.

import type { FastifyReply } from 'fastify'
import type { Device, RollReader } from '../../db/roll/roll-reader.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { Problem, refusal } from '../http/problem.ts'
import { rollProblems } from '../http/roll-problems.ts'
import { toCertificateWithPemResponse } from '../http/roll-responses.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AuthorizationScope } from '../operators/authorization-scope.ts'
import { issuanceProblems } from './issuance-problems.ts'
import type { RegistrationAuthority } from './registration-authority.ts'

export type OperatorEnrollmentServices = {
  roll: RollReader
  authority: RegistrationAuthority
  /** PEM of an issuer and of what stands above it up to, but without, the root; and of the root. */
  chainOf: (issuerId: string | null) => { chain: string[]; ca: string | null }
  log: Log
  deviceDays: number
  authorizationScope: AuthorizationScope
  /** PEM of our root. */
  rootPem: string
}

export function enrollmentRoutes(api: Api, services: OperatorEnrollmentServices): void {
  const { authority, roll, authorizationScope, chainOf, log } = services
  const tags = ['enrollment']

  async function deviceOf(id: string): Promise<Device> {
    const device = await roll.device(id)
    if (device === null) throw new Problem(rollProblems, 'device_unknown', `no device ${id} is registered`)
    return device
  }

  async function listed(reply: FastifyReply, fingerprint: string) {
    const certificate = await roll.certificate(fingerprint)
    if (certificate === null) throw new Error('a listed certificate cannot be read back')
    reply.code(201).header('location', `/v1/certificates/${fingerprint}`)
    return toCertificateWithPemResponse(certificate, chainOf)
  }

  api.post(
    '/v1/devices/:id/certificates',
    {
      config: {
        replay: async (done, _, reply) => listed(reply, done.target),
      },
      schema: {
        tags,
        security: secured,
        summary: 'Issue a certificate for a CSR, or register a foreign one',
        description:
          'Nothing of the CSR but its public key is used. A foreign certificate is trusted through its chain, or pinned. Where an enroller asks and the device holds a certificate, the new one is pending: an operator approves or rejects it.',
        params: schemas.DeviceParams,
        querystring: schemas.NoQuery,
        body: schemas.NewCertificate,
        response: { 201: schemas.CertificateWithPem, ...refusals },
      },
    },
    async (request, reply) => {
      const { id: deviceId } = request.params
      const { body } = request
      const device = await deviceOf(deviceId)
      authorizationScope.assertMayCertify(request, deviceId)
      if ('certificate' in body) authorizationScope.assertMayRegister(request, device)
      const compromise = 'csr' in body && body.reason === 'keyCompromise'
      if (compromise) authorizationScope.assertMayEndGrace(request)
      const approval = authorizationScope.approvalFor(request)
      const actor = actorOf(request)
      const outcome =
        'csr' in body
          ? await authority.enroll(
              {
                deviceId,
                csr: body.csr,
                days: body.days ?? services.deviceDays,
                compromise,
                approval,
              },
              actor,
            )
          : await authority.register(
              { deviceId, certificate: body.certificate, trust: body.trust ?? 'chained', approval },
              actor,
            )
      if (typeof outcome !== 'string') throw refusal(issuanceProblems, outcome)
      log.certificateListed(callerOf(request), deviceId, outcome, 'csr' in body ? 'issued' : 'registered')
      return reply.send(await listed(reply, outcome))
    },
  )

  api.post(
    '/v1/devices/:id/canaries',
    {
      // A canary proves something once; another is as good as one whose answer was lost.
      config: { replay: async () => null },
      schema: {
        tags,
        security: secured,
        summary: 'Make a certificate that must never be admitted',
        description:
          'unlisted: really signed by the issuing CA, on record as issued, never on the roll. expired: on the roll, but its validity ended before it was made.',
        params: schemas.DeviceParams,
        querystring: schemas.NoQuery,
        body: schemas.NewCanary,
        response: { 201: schemas.Canary, ...refusals },
      },
    },
    async (request, reply) => {
      const { id: deviceId } = request.params
      await deviceOf(deviceId)
      const outcome = await authority.canary({ deviceId, ...request.body }, actorOf(request))
      if ('refused' in outcome) throw refusal(issuanceProblems, outcome)
      log.canaryIssued(callerOf(request), deviceId, outcome.fingerprint, outcome.kind)
      return reply.code(201).send({ ...outcome, ca: services.rootPem })
    },
  )
}
