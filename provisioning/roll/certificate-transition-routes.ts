// The moves of a certificate that an operator makes besides revoking: hold it and let it go again, approve or reject it.

import type { FastifyRequest } from 'fastify'
import type { RegistryWriter } from '../../db/index.ts'
import type { RevocationOutcome } from '../../db/roll/revocation-outcome.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { IfMatch } from '../http/precondition.ts'
import { toAdmissibleResponse } from '../http/roll-responses.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AuthorizationScope } from '../operators/authorization-scope.ts'
import type { AwaitReceipt } from '../receipt.ts'

export type CertificateTransitionServices = {
  writer: RegistryWriter
  roll: RollReader
  receipt: AwaitReceipt
  revocationOutcome: RevocationOutcome
  log: Log
  now: () => number
  authorizationScope: AuthorizationScope
}

export function certificateTransitionRoutes(api: Api, services: CertificateTransitionServices): void {
  const { writer, roll, authorizationScope, receipt, log, now } = services

  /** What became of a certificate, and what admits its device now. */
  async function outcomeOf(fingerprint: string) {
    const certificate = await roll.certificate(fingerprint)
    if (certificate === null) throw new Error('a certificate that was moved cannot be read back')
    const { status, deviceId } = certificate
    const admitting = services.revocationOutcome.stillAdmitting([deviceId], now())
    return { fingerprint, status, stillAdmitting: admitting.map(toAdmissibleResponse) }
  }

  /** To let a certificate in is to certify its device. */
  async function assertMayLetIn(request: FastifyRequest, fingerprint: string): Promise<void> {
    const certificate = await roll.certificate(fingerprint)
    if (certificate !== null) authorizationScope.assertMayCertify(request, certificate.deviceId)
  }

  const moves = {
    suspend: {
      status: 'suspended',
      move: writer.suspendCertificate,
      summary: 'Hold a certificate: its sessions are cut, and it is refused until it is activated again',
    },
    activate: { status: 'active', move: writer.activateCertificate, summary: 'Let a held certificate go' },
    approve: {
      status: 'active',
      move: writer.approveCertificate,
      summary: 'Approve a certificate that waits for it',
    },
    reject: {
      status: 'rejected',
      move: writer.rejectCertificate,
      summary: 'Reject a certificate that waits for approval, for good',
    },
  } as const

  for (const [verb, { status, move, summary }] of Object.entries(moves)) {
    const answer = async (fingerprint: string, epoch: number) => ({
      ...(await receipt(epoch)),
      ...(await outcomeOf(fingerprint)),
    })
    api.post(
      `/v1/certificates/:fingerprint/${verb}`,
      {
        config: { replay: done => answer(done.target, done.epoch!) },
        schema: {
          tags: ['certificates'],
          security: secured,
          summary,
          description:
            'Answers when every broker acted on it, or after 2 s with those that did not. The same again changes nothing.',
          params: schemas.CertificateParams,
          querystring: schemas.NoQuery,
          headers: IfMatch,
          body: schemas.NoBody,
          response: { 200: schemas.CertificateReceipt, ...refusals },
        },
      },
      async request => {
        const { fingerprint } = request.params
        if (status === 'active') await assertMayLetIn(request, fingerprint)
        const epoch = await move(fingerprint, actorOf(request))
        log.certificateMoved(callerOf(request), fingerprint, status)
        return answer(fingerprint, epoch)
      },
    )
  }
}
