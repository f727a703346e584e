// The web console under /console/, and the way there from /. Files alone: what the pages show comes from the API.

import { fileURLToPath } from 'node:url'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Api } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import { type ConsoleFile, consoleFile, readConsole } from './console-files.ts'

/** Nothing but what this origin serves, no inline code, in nobody's frame. */
const CONTENT_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')
const YEAR_SECONDS = 31_536_000

const unbuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Rollcall</title>
<h1>The console was not built</h1>
<p>The service runs: the API is under /v1, its description at <a href="/docs">/docs</a>, and the <code>rollcall</code> command does all that the console does.</p>
<p>In the folder of the sources, <code>npm ci &amp;&amp; npm run console</code> builds it; start the service again then. The published package brings it along.</p>
`

const built = fileURLToPath(new URL('../../console/dist', import.meta.url))

export function consoleRoutes(api: Api, folder = built): void {
  const files =
    readConsole(folder) ?? new Map([['index.html', consoleFile('index.html', Buffer.from(unbuilt))]])
  const page = files.get('index.html')!
  const hidden = { schema: { hide: true } }

  api.get('/', hidden, async (_, reply) => reply.redirect('/console/', 302))
  api.get('/console', hidden, async (_, reply) => reply.redirect('/console/', 302))
  api.get<{ Params: { '*': string } }>('/console/*', hidden, async (request, reply) => {
    const path = request.params['*']
    const file = files.get(path)
    if (file !== undefined) return send(file, request, reply)
    // Pages have addresses without a dot at the end of which nothing is a file; the console knows them, or says it does not.
    if (path.startsWith('assets/'))
      throw new Problem(httpProblems, 'route_unknown', 'the console has no such file')
    return send(page, request, reply)
  })
}

function send(file: ConsoleFile, request: FastifyRequest, reply: FastifyReply) {
  reply
    .header('content-security-policy', CONTENT_POLICY)
    .header('cache-control', file.immutable ? `public, max-age=${YEAR_SECONDS}, immutable` : 'no-cache')
    .header('etag', file.etag)
    .header('vary', 'accept-encoding')
    .header('x-frame-options', 'DENY')
  // For "localhost" it would bind every other server on that name, too; of addresses browsers take none.
  if (!/^(.+\.)?localhost$/.test(request.hostname))
    reply.header('strict-transport-security', `max-age=${YEAR_SECONDS}`)
  if (request.headers['if-none-match'] === file.etag) return reply.code(304).send()
  const { bytes, encoding } = file.body(String(request.headers['accept-encoding'] ?? ''))
  if (encoding !== null) reply.header('content-encoding', encoding)
  return reply.type(file.type).send(bytes)
}
