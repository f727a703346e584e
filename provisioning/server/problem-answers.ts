// Sends a problem document for every error of the HTTP server: of handlers, validation, the body parser, the router
// and the HTTP parser. Internals stay in the log.

import type { Socket } from 'node:net'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Api } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem, problemDocument } from '../http/problem.ts'
import type { Log } from '../logging/log.ts'
import { problemOf } from './problem-list.ts'
import { faultsOf } from './validation-faults.ts'

const MEDIA_TYPE = 'application/problem+json'
/** The statuses that metrics tell apart: a caller must not be able to add more. */
const methods = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'])

export const answerProblems = {
  /** Options of the server for what fails before any route is found. */
  options: (log: Log) => ({
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      void answer(error, request, reply, log),
    clientErrorHandler: (error: { code?: string }, socket: Socket) => {
      const line = statusLineOf(error.code ?? '')
      // A failed TLS handshake cannot be answered. Node leaves it to this handler to close the connection.
      if (line === null || !socket.writable) socket.destroy()
      else socket.end(`HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
    },
  }),

  install(api: Api, log: Log): void {
    api.addHook('onRequest', async (request, reply) => {
      reply.header('x-request-id', request.id)
      // Answers hold certificates and states of devices: for the caller alone.
      reply.header('cache-control', 'no-store')
    })
    api.addHook('onResponse', async (request, reply) => {
      log.answered({
        method: methods.has(request.method) ? request.method : 'other',
        route: request.routeOptions.url ?? 'unknown',
        status: reply.statusCode,
        seconds: reply.elapsedTime / 1000,
      })
    })
    api.setErrorHandler((error, request, reply) => answer(error, request, reply, log))
    api.setNotFoundHandler((request, reply) =>
      answer(
        new Problem(httpProblems, 'route_unknown', 'no route has this method and path'),
        request,
        reply,
        log,
      ),
    )
  },
}

/** What the HTTP parser's complaint is answered with; null for a complaint of anything below HTTP. */
function statusLineOf(code: string): string | null {
  if (code === 'HPE_HEADER_OVERFLOW') return '431 Request Header Fields Too Large'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return '408 Request Timeout'
  return code.startsWith('HPE_') ? '400 Bad Request' : null
}

type FinishDocument = (document: ReturnType<typeof problemDocument>, problem: Problem) => object

/** Answers errors of routes whose clients look for more in a problem document than it has. */
export function problemHandler(log: Log, finish: FinishDocument) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
    answer(error, request, reply, log, finish)
}

function answer(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Log,
  finish: FinishDocument = document => document,
): FastifyReply {
  const problem = problemOf(translated(error, request))
  const { reason, definition } = problem
  const { status } = definition
  const route = request.routeOptions?.url ?? 'unknown'
  if (status >= 500) log.requestFailed({ requestId: request.id, route, reason }, problem.cause ?? problem)
  else if (status !== 401 && status !== 429) {
    log.requestRefused({ requestId: request.id, route, status, reason })
  }
  if (problem.retryAfterSeconds !== undefined) reply.header('retry-after', String(problem.retryAfterSeconds))
  return reply
    .code(status)
    .header('x-request-id', request.id)
    .type(MEDIA_TYPE)
    .serializer(JSON.stringify)
    .send(finish(problemDocument(problem, request.id), problem))
}

/** What fastify itself refuses, in our words. Anything else goes on as it was. */
function translated(error: unknown, request: FastifyRequest): unknown {
  const { code, statusCode, validation, validationContext } = error as FastifyError
  if (validation !== undefined) {
    return new Problem(
      httpProblems,
      'request_invalid',
      `the ${contexts[validationContext ?? ''] ?? 'request'} is not valid`,
      {
        errors: faultsOf(validation, contexts[validationContext ?? ''] ?? 'request'),
      },
    )
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    const { consumes = ['application/json'] } = (request.routeOptions.schema ?? {}) as { consumes?: string[] }
    return new Problem(httpProblems, 'media_type_unsupported', `this route takes ${consumes.join(' or ')}`)
  }
  // The client's doing, and nobody reads the answer.
  if (code === 'ECONNRESET' && request.raw.destroyed)
    return new Problem(httpProblems, 'request_invalid', 'the connection ended before the request did')
  const known = code === undefined ? undefined : fastifyCodes[code]
  if (known !== undefined) return new Problem(httpProblems, known[0], known[1])
  if (error instanceof SyntaxError && statusCode === 400) {
    return new Problem(
      httpProblems,
      'body_malformed',
      'the body is not JSON, or holds a key that is not allowed',
    )
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500 && !(error instanceof Problem)) {
    return new Problem(httpProblems, 'request_refused', 'the request cannot be served as it is')
  }
  return error
}

const contexts: Record<string, string> = {
  body: 'body',
  params: 'path',
  querystring: 'query',
  headers: 'header',
}

const fastifyCodes: Record<string, [keyof typeof httpProblems, string]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['body_too_large', 'the body is longer than 65536 bytes'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['body_malformed', 'the body is empty, though its content type says JSON'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['body_malformed', 'the body is not JSON'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['body_malformed', 'the body is not as long as Content-Length says'],
  FST_ERR_BAD_URL: ['request_invalid', 'the path is not percent-encoded UTF-8'],
}
