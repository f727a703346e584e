// The service itself: the caller as it is known here, liveness, readiness.

import Type from 'typebox'
import type { AuditReader } from '../../db/audit/audit-reader.ts'
import type { AnchorService } from '../anchors/anchor-service.ts'
import type { AuditSealer } from '../audit/audit-sealer.ts'
import type { CaManager } from '../ca/ca-manager.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import { toHolderResponse } from '../operators/holder-response.ts'
import { WhoAmI } from '../operators/operator-schemas.ts'

type ServiceServices = {
  anchors: AnchorService
  audit: { reader: AuditReader; sealer: Pick<AuditSealer, 'verification' | 'isTampered'> }
  ca: { manager: Pick<CaManager, 'isKeyMissing'> }
  ready: () => boolean
}

const Status = Type.Object({ status: Type.String() })
/** `warnings`: what somebody should look at, though it keeps nothing from working. */
const Readiness = Type.Object({ status: Type.String(), warnings: Type.Array(Type.String()) })

export function serviceRoutes(api: Api, { ready, anchors, audit, ca }: ServiceServices): void {
  const tags = ['service']

  api.get(
    '/v1/whoami',
    {
      schema: {
        tags,
        security: secured,
        summary: 'The caller: name, role and group',
        querystring: schemas.NoQuery,
        response: { 200: WhoAmI, ...refusals },
      },
    },
    async request => toHolderResponse(request.holder!),
  )

  api.get(
    '/livez',
    {
      schema: { tags, summary: 'The process answers', response: { 200: Status, ...refusals } },
    },
    async () => ({ status: 'live' }),
  )

  api.get(
    '/readyz',
    {
      schema: {
        tags,
        summary: 'The registry answers and the CA can sign',
        response: { 200: Readiness, ...refusals },
      },
    },
    async () => {
      if (!ready())
        throw new Problem(
          httpProblems,
          'registry_unavailable',
          'the registry does not answer, the CA has expired, or the key of the CA that issues is missing here',
        )
      const warnings = [
        ...(anchors.staleCrls() > 0 ? ['issuer_crl_stale'] : []),
        ...(audit.sealer.isTampered() ? ['audit_tampered'] : []),
        ...(ca.manager.isKeyMissing() ? ['issuing_key_missing'] : []),
      ]
      return { status: 'ready', warnings }
    },
  )
}
