// About the service itself: who am I to it, does it live, is it ready.
import Type from 'typebox'
import { Problem } from '../problem.ts'
import * as schemas from '../schemas.ts'
import { type Api, refusals, type Services, secured } from './context.ts'

const Status = Type.Object({ status: Type.String() })

export function serviceRoutes(api: Api, { ready }: Services): void {
  const tags = ['service']

  api.get(
    '/v1/whoami',
    {
      schema: {
        tags,
        security: secured,
        summary: 'The name and role of the token',
        querystring: schemas.NoQuery,
        response: { 200: schemas.WhoAmI, ...refusals },
      },
    },
    async request => ({ name: request.holder!.name, role: request.holder!.role }),
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
        response: { 200: Status, ...refusals },
      },
    },
    async () => {
      if (!ready())
        throw new Problem('registry_unavailable', 'the registry does not answer, or the CA has expired')
      return { status: 'ready' }
    },
  )
}
