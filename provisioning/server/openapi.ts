// The OpenAPI 3.1 document, emitted from the schemas of the routes, and the page that shows it.

import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { Api } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import { finishedDocument } from './openapi-document.ts'

/** Must be registered before the routes that are to be in the document. */
export async function documentApi(api: Api): Promise<void> {
  await api.register(swagger, {
    transformObject: documented =>
      finishedDocument('openapiObject' in documented ? documented.openapiObject : {}),
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Rollcall provisioning API',
        version: '1',
        description:
          'Puts devices on the roll and takes them off it. Times are RFC 3339 in UTC. Refusals are RFC 9457 problem documents.',
      },
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'An opaque API token' },
          session: {
            type: 'apiKey',
            in: 'cookie',
            name: '__Host-rollcall',
            description: 'A console session: changes need its X-CSRF-Token, too',
          },
          enrollment: { type: 'http', scheme: 'bearer', description: 'A one-time enrollment token' },
          est: { type: 'http', scheme: 'basic', description: 'Device ID and one-time enrollment token' },
          operatorCertificate: {
            type: 'mutualTLS',
            description: 'The registered certificate of an operator',
            // The types know schemes of OpenAPI 3.0 alone.
          } as never,
        },
      },
    },
  })
  // Everybody may ask for it, and no route is added once the service runs: it is put together once.
  let document: string | null = null
  api.get('/openapi.json', { schema: { hide: true } }, async (_, reply) => {
    document ??= JSON.stringify(api.swagger())
    return reply
      .type('application/json; charset=utf-8')
      .serializer((text: unknown) => text as string)
      .send(document)
  })
  // Its assets come with the package, so the page works without a network.
  await api.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    uiConfig: { url: '/openapi.json', validatorUrl: null, docExpansion: 'list' },
    // It would build copies of the document for each request, one of them as YAML.
    uiHooks: {
      onRequest: (request, _, done) =>
        done(
          /^\/docs\/(json|yaml)$/.test(request.routeOptions.url ?? '')
            ? new Problem(httpProblems, 'route_unknown', 'the document is at /openapi.json')
            : undefined,
        ),
    },
  })
}
