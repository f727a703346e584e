// Trust anchors: retire a certificate that a renewed one took the place of, and remove an anchor that nothing names any more.

import { type Api, refusals, secured } from '../http/api.ts'
import { IfMatch } from '../http/precondition.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import { anchorProblems } from './anchor-problems.ts'
import { IssuerChanged, IssuerParams, Retirement } from './issuer-schemas.ts'
import type { TrustAnchorServices } from './trust-anchor-routes.ts'

export function anchorEndRoutes(
  api: Api,
  { writer, issuers, anchors, receipt, log }: TrustAnchorServices,
): void {
  const about = { tags: ['issuers'], security: secured, querystring: schemas.NoQuery }
  const answer = async (issuerId: string, epoch: number) => ({ ...(await receipt(epoch)), issuerId })

  api.post(
    '/v1/issuers/:issuer/retire',
    {
      config: { replay: done => answer(done.target, done.epoch!) },
      schema: {
        ...about,
        summary: 'Take off the record a certificate that a renewed one took the place of',
        description:
          'Refused while a certificate on the roll names it by its serial number (authorityKeyIdentifier), as nothing else leads to the issuer then.',
        params: IssuerParams,
        body: Retirement,
        response: { 200: IssuerChanged, ...refusals },
      },
    },
    async request => {
      const { issuer: issuerId } = request.params
      const { fingerprint } = request.body
      const issuer = issuers().get(issuerId)
      if (issuer === undefined)
        throw new Problem(anchorProblems, 'issuer_unknown', `no issuer ${issuerId} is registered`)
      const reliant = await anchors.reliantOn(issuer, fingerprint)
      if (reliant !== null)
        throw new Problem(anchorProblems, 'issuer_in_use', `${reliant} leads to it by its serial number`)
      const epoch = await writer.retireAnchorCertificate(issuerId, fingerprint, actorOf(request))
      log.anchorChanged(callerOf(request), issuerId, 'retired')
      return answer(issuerId, epoch)
    },
  )

  api.delete(
    '/v1/issuers/:issuer',
    {
      config: { replay: done => answer(done.target, done.epoch!) },
      schema: {
        ...about,
        summary: 'Remove a trust anchor that nothing on record names',
        description:
          'Refused while a certificate, a CA below, a device that enrolled under it or a policy names it: disable it then.',
        params: IssuerParams,
        headers: IfMatch,
        body: schemas.NoBody,
        response: { 200: IssuerChanged, ...refusals },
      },
    },
    async request => {
      const { issuer: issuerId } = request.params
      const epoch = await writer.removeTrustAnchor(issuerId, actorOf(request))
      log.anchorChanged(callerOf(request), issuerId, 'removed')
      return answer(issuerId, epoch)
    },
  )
}
