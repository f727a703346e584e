// Whether devices of a manufacturer may enroll with the identity they were born with: read and set for one trust anchor.

import type { RegistryWriter } from '../../db/index.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { anchorProblems } from '../anchors/anchor-problems.ts'
import { IssuerParams } from '../anchors/issuer-schemas.ts'
import { templateFault } from '../anchors/name-template.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { Problem, refusal } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AuthorizationScope } from '../operators/authorization-scope.ts'
import * as enrollmentSchemas from './enrollment-schemas.ts'

export type IdevidServices = {
  writer: RegistryWriter
  issuers: () => Map<string, Issuer>
  log: Log
  authorizationScope: AuthorizationScope
}

export function idevidRoutes(api: Api, services: IdevidServices): void {
  const { writer, issuers, authorizationScope, log } = services
  const about = {
    tags: ['enrollment'],
    security: secured,
    querystring: schemas.NoQuery,
    params: IssuerParams,
  }
  const path = '/v1/issuers/:issuer/enrollment'

  function enrollmentOf(issuerId: string) {
    const issuer = issuers().get(issuerId)
    if (issuer === undefined)
      throw new Problem(anchorProblems, 'issuer_unknown', `no issuer ${issuerId} is registered`)
    if (issuer.kind !== 'foreign')
      throw new Problem(anchorProblems, 'issuer_own', 'only devices of other CAs come with an IDevID')
    const { proofFingerprint: _, ...enrollment } = writer.anchorEnrollment(issuerId)
    return { issuerId, ...enrollment }
  }

  api.get(
    path,
    {
      schema: {
        ...about,
        summary: 'Whether devices of this CA may enroll with their IDevID',
        response: { 200: enrollmentSchemas.AnchorEnrollment, ...refusals },
      },
    },
    async request => enrollmentOf(request.params.issuer),
  )

  api.put(
    path,
    {
      schema: {
        ...about,
        summary: 'Let devices of this CA enroll with their IDevID, or not',
        description:
          'What is left out stays as it is. Anything but off wants proof of possession. No IDevID is admitted by this.',
        body: enrollmentSchemas.NewAnchorEnrollment,
        response: { 200: enrollmentSchemas.AnchorEnrollment, ...refusals },
      },
    },
    async request => {
      const issuerId = request.params.issuer
      const { issuerId: _, devices: __, ...before } = enrollmentOf(issuerId)
      const settings = { ...before, ...request.body }
      const message = templateFault(settings.nameTemplate)
      if (message !== null) {
        const faults = [{ path: 'body.nameTemplate', message }]
        throw refusal(anchorProblems, { refused: 'name_template_invalid', faults })
      }
      if (settings.group !== null) authorizationScope.groupsFor(request, [settings.group])
      await writer.setAnchorEnrollment(issuerId, settings, actorOf(request))
      log.anchorEnrollmentSet(callerOf(request), issuerId, settings.mode)
      return enrollmentOf(issuerId)
    },
  )
}
