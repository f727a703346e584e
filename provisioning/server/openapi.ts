// The OpenAPI 3.1 document, emitted from the schemas of the routes, and the page that shows it.

import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { Api } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import { finishedDocument } from './openapi-document.ts'

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0f766e"/>' +
  '<path d="M8 10h10M8 16h7M8 22h5" stroke="#fff" stroke-width="2.6"/></svg>'

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
    // Without the bar of the viewer, which shows its own project's logo.
    uiConfig: { validatorUrl: null, docExpansion: 'list', layout: 'BaseLayout' },
    theme: {
      title: 'Rollcall API',
      favicon: [{ filename: 'icon.svg', rel: 'icon', type: 'image/svg+xml', sizes: 'any', content: ICON }],
    },
    // It would build copies of the document for each request, one of them as YAML. The page asks for json, whatever it is configured.
    uiHooks: {
      onRequest(request, reply, done) {
        const { url } = request.routeOptions
        if (url === '/docs/json') void reply.redirect('/openapi.json')
        else if (url === '/docs/yaml')
          done(new Problem(httpProblems, 'route_unknown', 'the document is at /openapi.json'))
        else done()
      },
    },
  })
}
