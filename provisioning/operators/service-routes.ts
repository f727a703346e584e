// About the service itself: who am I to it, does it live, is it ready.
import Type, { type Static } from 'typebox'
import type { Holder } from '../../db/operators/token-store.ts'
import { type Api, refusals, type Services, secured, timeOrNull } from '../http/context.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import { WhoAmI } from './operator-schemas.ts'

export function toHolderResponse({
  kind,
  id,
  name,
  role,
  scope: group,
  expiresAt,
}: Holder): Static<typeof WhoAmI> {
  return { kind, id, name, role, group, expiresAt: timeOrNull(expiresAt) }
}

const Status = Type.Object({ status: Type.String() })
/** `warnings`: what somebody should look at, though it keeps nothing from working. */
const Readiness = Type.Object({ status: Type.String(), warnings: Type.Array(Type.String()) })

export function serviceRoutes(api: Api, { ready, anchors, audit }: Services): void {
  const tags = ['service']

  api.get(
    '/v1/whoami',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Who calls: name, role and group',
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
        throw new Problem('registry_unavailable', 'the registry does not answer, or the CA has expired')
      const warnings = [
        ...(anchors.staleCrls() > 0 ? ['issuer_crl_stale'] : []),
        ...(audit.sealer.isTampered() ? ['audit_tampered'] : []),
      ]
      return { status: 'ready', warnings }
    },
  )
}
