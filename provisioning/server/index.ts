// The HTTPS server: TLS, limits, authentication, problem documents, and the OpenAPI document of its routes.
// Knows how requests come in and answers go out; what they do is in routes/.

import { constants, randomUUID } from 'node:crypto'
import type { Server } from 'node:https'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import { type FastifyRequest, fastify } from 'fastify'
import { signatureSchemes, tlsProfile } from '../../pki/tls-profile.ts'
import { resolveIssuers } from '../anchors/issuer-routes.ts'
import type { ServerIdentity } from '../ca/server-certificate.ts'
import { createEnrollmentAuthentication } from '../enrollment/enrollment-authentication.ts'
import type { Api } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import { includesRole } from '../operators/access.ts'
import { createAuthentication, grantRight } from '../operators/authentication.ts'
import { holdScope } from '../operators/authorization-scope.ts'
import { createConsoleSessions } from '../operators/console-sessions.ts'
import { createSelfAuthentication } from '../self-service/self-authentication.ts'
import type { Services } from '../services.ts'
import { boundBodies } from './body-deadline.ts'
import { addressOf } from './connection-bounds.ts'
import { CONNECTIONS_MAX, trackConnections } from './connections.ts'
import { consoleRoutes } from './console-routes.ts'
import { honourIdempotencyKeys, takeIdempotencyKey } from './idempotency.ts'
import { documentApi } from './openapi.ts'
import { answerProblems } from './problem-answers.ts'
import { scheduleRequests } from './request-scheduling.ts'
import { registerRoutes } from './routes.ts'
import { slowRefusals } from './slow-refusals.ts'
import { traceRequests } from './tracing.ts'

type ServerParts = {
  services: Services
  identity: ServerIdentity
  requestsPerMinuteMax: number
  failuresPerMinuteMax: number
  renewExpiredDays: number
}

type ApiServer = {
  /** Gives the port. */
  listen(host: string, port: number): Promise<number>
  /** Serves another certificate to new connections; old ones stay. */
  show(identity: ServerIdentity): void
  close(): Promise<void>
}

const BODY_BYTES_MAX = 64 * 1024
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

export async function createServer(parts: ServerParts): Promise<ApiServer> {
  const { services } = parts
  // Node offers ML-DSA by itself.
  const tls = { ...tlsOptions, ...(services.pq === 'off' ? { sigalgs: signatureSchemes('off') } : {}) }
  const api = fastify({
    // Devices that call for themselves show their certificate; what it is worth is decided on each of their requests.
    https: {
      ...tls,
      ...parts.identity,
      requestCert: true,
      rejectUnauthorized: false,
      headersTimeout: 30_000,
    },
    bodyLimit: BODY_BYTES_MAX,
    // body-deadline.ts bounds how long a body may take.
    requestTimeout: 0,
    keepAliveTimeout: 60_000,
    forceCloseConnections: 'idle',
    // Room for a device ID of 128 characters, percent-encoded; what is longer is no ID.
    routerOptions: { maxParamLength: 400 },
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    return503OnClosing: false,
    ...answerProblems.options(services.log),
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as Api
  const server = api.server as unknown as Server
  // Above what trackConnections lets be, which makes room for newcomers.
  server.maxConnections = CONNECTIONS_MAX + 100
  const connections = trackConnections(server)

  // JSON is all that bodies may be; fastify would take text/plain too, and give it to no validator we trust.
  api.removeContentTypeParser('text/plain')
  api.setValidatorCompiler(TypeBoxValidatorCompiler)
  // Answers are typed by their schemas; a second schema compiler at run time would only slow the start.
  api.setSerializerCompiler(() => data => JSON.stringify(data))

  api.decorateRequest('holder', null)
  api.decorateRequest('session', null)
  api.decorateRequest('keyed', null)
  traceRequests(api)
  answerProblems.install(api, services.log)
  slowRefusals(api)
  boundBodies(api)
  // HSTS is for host names; "localhost" is shared with servers that speak plain HTTP.
  await api.register(helmet, { strictTransportSecurity: false })
  await api.register(rateLimit, {
    global: false,
    max: parts.requestsPerMinuteMax,
    timeWindow: MINUTE_MS,
    cache: 10_000,
    enableDraftSpec: true,
    // Urgent requests are counted apart: a caller that has spent the requests of a minute can still withdraw rights.
    keyGenerator: request =>
      `${request.routeOptions.config.urgent === true ? 'urgent ' : ''}${request.holder?.id ?? addressOf(request.ip)}`,
    errorResponseBuilder: (_, context) =>
      new Problem(httpProblems, 'rate_limited', `at most ${context.max} requests a minute`, {
        retryAfterSeconds: Math.max(1, Math.ceil(context.ttl / 1000)),
      }),
  })
  const failures = api.createRateLimit({
    max: parts.failuresPerMinuteMax,
    timeWindow: MINUTE_MS,
    keyGenerator: request => addressOf(request.ip),
  })
  const countFailure = async (request: FastifyRequest) => {
    const limit = await failures(request)
    return 'isExceeded' in limit && limit.isExceeded ? Math.max(1, limit.ttlInSeconds) : null
  }
  const failed = (request: FastifyRequest, reason: string) =>
    services.log.authenticationFailed({ requestId: request.id, address: request.ip, reason })
  const { tokenHolder, operatorOf } = services.writer
  const sessions = createConsoleSessions({
    holderOf: (kind, id) => (kind === 'token' ? tokenHolder(id) : operatorOf(id)),
    now: services.now,
  })
  const authentication = createAuthentication({
    sessions,
    holderOf: services.writer.holderOf,
    endOf: services.writer.endOf,
    operatorOf,
    countFailure,
    failed,
    used: services.lastUse.note,
  })
  api.addHook('onRequest', authentication.onRequest)
  api.addHook('onRequest', async ({ holder, raw }) => {
    if (holder !== null && includesRole(holder.role, 'operator')) connections.keep(raw.socket)
  })
  // After authentication, so that a token has a budget of its own wherever its requests come from.
  api.addHook('onRequest', api.rateLimit() as never)

  // Files for everybody to read, and no part of the API: they have no row in the table of access.
  await documentApi(api)
  consoleRoutes(api)
  api.addHook('onRoute', grantRight)
  api.addHook('onRoute', takeIdempotencyKey)
  scheduleRequests(api)
  api.addHook('preHandler', authentication.preHandler)
  api.addHook('preHandler', holdScope(services.authorizationScope))
  resolveIssuers(api, services.issuers)
  honourIdempotencyKeys(api, { store: services.writer, failed: services.log.answerNotKept })
  const counting = { countFailure, failed }
  await registerRoutes(api, services, {
    authentication,
    sessions,
    self: createSelfAuthentication({ ...services, ...counting }),
    enrollment: createEnrollmentAuthentication({ ...services, ...services.writer, ...counting }),
    renewExpiredMs: parts.renewExpiredDays * DAY_MS,
  })
  await api.ready()

  return {
    async listen(host, port) {
      await listening(api, host, port)
      const address = server.address()
      if (address === null || typeof address === 'string') throw new Error('the API has no port')
      return address.port
    },
    show: identity => server.setSecureContext({ ...tls, ...identity }),
    async close() {
      services.events.streams.close()
      await connections.drain()
      await api.close()
    },
  }
}

const tlsOptions = {
  ...tlsProfile,
  handshakeTimeout: 10_000,
  // Node's TLS server leaves Nagle on, which costs 40 ms where a client sends in two writes.
  noDelay: true,
  // Stateful tickets without a store: no session can be resumed, so every connection proves its key anew.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const

async function listening(api: Api, host: string, port: number): Promise<void> {
  try {
    // For "localhost" fastify would open a second server beside this one, which nobody would renew or close.
    await api.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port, backlog: 511 })
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    const advice: Record<string, string> = {
      EADDRINUSE: 'the port is in use: stop the process that holds it, or name another with --api-port',
      EACCES: 'this user may not open the port: name one above 1023 with --api-port',
      EADDRNOTAVAIL: 'this machine has no such address: name another with --host',
      ENOTFOUND: 'the host name does not resolve: name an address with --host',
    }
    throw new Error(`the API cannot listen on ${host} port ${port}: ${advice[code ?? ''] ?? code}`, { cause })
  }
}
