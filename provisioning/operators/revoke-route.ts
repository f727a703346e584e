// The route that revokes a credential for good: an API token, an operator's certificate, an enrollment token or a claim.
import type { FastifyRequest } from 'fastify'
import type { TObject, TSchema } from 'typebox'
import { type Api, refusals, secured } from '../http/api.ts'
import { NoBody, NoQuery } from '../http/schemas.ts'

type RevokeRoute = {
  /** Of the credential; its one parameter is the ID. */
  path: string
  tags: string[]
  summary: string
  description?: string
  params: TObject
  response: TSchema
  /** The credential as it is answered. Throws a Problem where the caller knows none of this ID. */
  read(request: FastifyRequest, id: string): Promise<object>
  revoke(request: FastifyRequest, id: string): Promise<void>
}

export function revokeRoute(api: Api, { path, params, response, read, revoke, ...about }: RevokeRoute): void {
  api.post(
    `${path}/revoke`,
    {
      config: { replay: (done, request) => read(request, done.target) },
      schema: {
        ...about,
        security: secured,
        params,
        querystring: NoQuery,
        body: NoBody,
        response: { 200: response, ...refusals },
      },
    },
    async request => {
      const [id = ''] = Object.values(request.params as Record<string, string>)
      await revoke(request, id)
      return read(request, id)
    },
  )
}
