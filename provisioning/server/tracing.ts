// A span for each request, under which lies what it causes. No header of a caller continues a trace: the caller could choose
// what is kept.
import type { FastifyRequest } from 'fastify'
import { beginActive, isTraced, type Span } from '../../admin/tracing.ts'
import type { Api } from '../http/api.ts'

/** To be installed before other hooks, which then run within the span. */
export function traceRequests(api: Api): void {
  if (!isTraced()) return
  const spans = new WeakMap<FastifyRequest, Span>()
  api.addHook('onRequest', (request, _, done) => {
    const route = request.routeOptions.url ?? 'unknown'
    const attributes = {
      'http.request.method': request.method,
      'http.route': route,
      'url.scheme': 'https',
      'rollcall.request_id': request.id,
    }
    const span = beginActive(`${request.method} ${route}`, { attributes, server: true }, done)
    if (span !== null) spans.set(request, span)
  })
  api.addHook('onResponse', async (request, reply) => {
    const status = { 'http.response.status_code': reply.statusCode }
    if (reply.statusCode >= 500) spans.get(request)?.fail(String(reply.statusCode), status)
    else spans.get(request)?.end(status)
  })
  api.addHook('onRequestAbort', async request => spans.get(request)?.fail('aborted'))
}
