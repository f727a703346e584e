// Enrollment: a CSR becomes a listed certificate, a foreign certificate is registered, a canary is made.
import type { FastifyReply } from 'fastify'
import type { Device } from '../../db/roll/roll-reader.ts'
import {
  type Api,
  callerOf,
  refusals,
  type Services,
  secured,
  toCertificateWithPemResponse,
} from '../http/context.ts'
import { Problem, type ProblemReason } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import { actorOf } from '../operators/authentication.ts'
import type { Fault } from '../x509/csr.ts'

export function enrollmentRoutes(api: Api, services: Services): void {
  const { authority, roll, reach, chainOf, events } = services
  const tags = ['enrollment']

  async function deviceOf(id: string): Promise<Device> {
    const device = await roll.device(id)
    if (device === null) throw new Problem('device_unknown', `no device ${id} is registered`)
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
        recall: async (done, _, reply) => listed(reply, done.target),
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
      reach.assertMayCertify(request, deviceId)
      if ('certificate' in body) reach.assertMayRegister(request, device)
      const compromise = 'csr' in body && body.reason === 'keyCompromise'
      if (compromise) reach.assertMayEndGrace(request)
      const approval = reach.approvalFor(request)
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
      if (typeof outcome !== 'string') throw refusal(outcome)
      events.certificateListed(callerOf(request), deviceId, outcome, 'csr' in body ? 'issued' : 'registered')
      return reply.send(await listed(reply, outcome))
    },
  )

  api.post(
    '/v1/devices/:id/canaries',
    {
      // A canary proves something once; another is as good as one whose answer was lost.
      config: { recall: async () => null },
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
      if ('refused' in outcome) throw refusal(outcome)
      events.canaryIssued(callerOf(request), deviceId, outcome.fingerprint, outcome.kind)
      return reply.code(201).send({ ...outcome, ca: services.rootPem })
    },
  )
}

/** What was asked for cannot be: the problem with every fault. */
export function refusal({ refused, faults }: { refused: ProblemReason; faults: readonly Fault[] }): Problem {
  const detail = faults.map(fault => `${fault.path}: ${fault.message}`).join('; ')
  return new Problem(refused, detail || 'nothing was issued or listed', { errors: faults })
}
