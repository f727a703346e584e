// What a device does for itself, known by its current certificate: see how it stands, and renew.
// JSON, or a PKCS #10 request (RFC 2986) in DER or PEM answered by the bare certificate: a microcontroller needs no JSON.

import type { AdmissionRecord } from '../../db/admission-lookup.ts'
import type { Actor } from '../../db/audit/audit.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import { renewalCriticalAt } from '../../pki/renewal-window.ts'
import { sendCertificate } from '../enrollment/certificate-answer.ts'
import { PENDING_RETRY_SECONDS } from '../enrollment/device-enrollment-routes.ts'
import { PendingEnrollment } from '../enrollment/enrollment-schemas.ts'
import { issuanceProblems } from '../enrollment/issuance-problems.ts'
import type { RegistrationAuthority } from '../enrollment/registration-authority.ts'
import type { Renewable } from '../enrollment/renewal-window.ts'
import { type Api, refusals, time } from '../http/api.ts'
import { Problem, refusal } from '../http/problem.ts'
import { toCertificateWithPemResponse } from '../http/roll-responses.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { PKCS10, takePkcs10 } from '../x509/pkcs10-body.ts'
import type { SelfAuthentication } from './self-authentication.ts'
import { selfProblems } from './self-problems.ts'
import * as selfSchemas from './self-schemas.ts'

type SelfServices = {
  roll: RollReader
  authority: RegistrationAuthority
  /** PEM of an issuer and of what stands above it up to, but without, the root; and of the root. */
  chainOf: (issuerId: string | null) => { chain: string[]; ca: string | null }
  log: Log
  deviceDays: number
  now: () => number
  ca: { opensAt: (certificate: Renewable) => number }
}

export function selfRoutes(api: Api, services: SelfServices, self: SelfAuthentication): void {
  const { authority, roll, chainOf, log, now } = services
  const tags = ['self']

  takePkcs10(api)

  api.get(
    '/v1/self',
    {
      schema: {
        tags,
        summary: 'How the calling device stands, known by its client certificate',
        querystring: schemas.NoQuery,
        response: { 200: selfSchemas.Self, ...refusals },
      },
    },
    async request => {
      const record = await self.admit(request)
      return shown(record, services.ca.opensAt(record), now())
    },
  )

  api.post(
    '/v1/self/certificates',
    {
      schema: {
        tags,
        summary: 'Renew the certificate of the calling device',
        description:
          'Known by its client certificate, from two thirds of its life on; or at any time with the reason keyCompromise and a new key: then the certificate waits for an operator, with 202, and the device sends the same request again. The same key again gives the same certificate until it is used.',
        consumes: ['application/json', PKCS10],
        querystring: schemas.NoQuery,
        body: selfSchemas.Renewal,
        response: { 201: schemas.CertificateWithPem, 202: PendingEnrollment, ...refusals },
      },
      // Before a body is read: a stranger has nothing parsed.
      onRequest: async request => {
        await self.admit(request)
      },
    },
    async (request, reply) => {
      // Asked again: a body may take its time to arrive.
      const current = await self.admit(request)
      const { deviceId } = current
      const actor: Actor = { name: `device:${deviceId}`, kind: 'device', requestId: request.id }
      const compromise = request.body.reason === 'keyCompromise'
      const order = { current, csr: request.body.csr, days: services.deviceDays, compromise }
      const outcome = await authority.renew(order, actor)
      if ('refused' in outcome) throw refusal(issuanceProblems, outcome)
      if ('opensAt' in outcome) throw tooEarly(outcome.opensAt, now())
      const caller = { requestId: request.id, actor: actor.name }
      const certificate = await roll.certificate(outcome.fingerprint)
      if (certificate === null) throw new Error('a listed certificate cannot be read back')
      const { fingerprint, status } = certificate
      const how = status === 'pending' ? 'pending' : 'renewed'
      log.certificateListed(caller, deviceId, fingerprint, how)
      if (status === 'pending') {
        reply.header('retry-after', String(PENDING_RETRY_SECONDS))
        return reply.code(202).send({ status, deviceId, fingerprint })
      }
      const answer = toCertificateWithPemResponse(certificate, chainOf)
      return sendCertificate(request, reply.code(201), certificate.der, answer)
    },
  )
}

export function tooEarly(opensAt: number, now: number): Problem {
  return new Problem(selfProblems, 'renewal_too_early', `it can be renewed from ${time(opensAt)} on`, {
    retryAfterSeconds: Math.ceil((opensAt - now) / 1000),
  })
}

function shown(record: AdmissionRecord, opensAt: number, now: number) {
  const { deviceId, deviceState, fingerprint, status, notBefore, notAfter, graceUntil } = record
  return {
    deviceId,
    state: deviceState,
    certificate: {
      fingerprint,
      status,
      notBefore: time(notBefore),
      notAfter: time(notAfter),
      graceUntil: graceUntil === null ? null : time(graceUntil),
    },
    renewal: {
      open: now >= opensAt,
      opensAt: time(opensAt),
      criticalAt: time(renewalCriticalAt(record)),
    },
    now: time(now),
  }
}
