// Authentication of callers: a bearer token (RFC 6750), the cookie of a console session or an operator's certificate, all looked up on each
// request, the role a route asks for, and a bound on failures per address. Never logs or echoes a token.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Actor } from '../../db/audit/audit.ts'
import type { KeyedRequest } from '../../db/keyed-changes.ts'
import type { Holder, TokenEnd } from '../../db/operators/token-store.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { time } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { presentedCertificate } from '../http/peer-certificate.ts'
import { versionSeen } from '../http/precondition.ts'
import { Problem } from '../http/problem.ts'
import { includesRole, type Right, rightTo, urgentRoutes } from './access.ts'
import { type ConsoleSession, type ConsoleSessions, isCsrfToken } from './console-sessions.ts'
import { operatorProblems } from './operator-problems.ts'
import { assertSameOrigin, changesSomething, sessionCookie } from './session-cookie.ts'

declare module 'fastify' {
  interface FastifyRequest {
    holder: Holder | null
    /** Where the caller showed the cookie of one. */
    session: ConsoleSession | null
    /** Where the request came with an Idempotency-Key. */
    keyed: KeyedRequest | null
  }
  interface FastifyContextConfig {
    /** The roles that may call a route: from the table in access.ts, never by hand. */
    right?: Right
    /** Whether it is served before others: from the same file. */
    urgent?: boolean
  }
}

type AuthenticationParts = {
  holderOf: (token: string) => Holder | null
  /** How a token ended that is not accepted any more. */
  endOf: (token: string) => TokenEnd | null
  operatorOf: (fingerprint: string) => Holder | null
  sessions: Pick<ConsoleSessions, 'find' | 'touch'>
  /** Seconds to wait where an address failed too often, else null. Counts the failure. */
  countFailure: (request: FastifyRequest) => Promise<number | null>
  failed: (request: FastifyRequest, reason: Failure) => void
  used: (holder: Holder, address: string) => void
}
type Failure = 'token_missing' | 'token_refused' | 'operator_refused' | 'session_ended'
type Caller = { holder: Holder; session: ConsoleSession | null }

/** Run on every route as it is added: one that nobody entered in the table keeps the service from starting. */
export function grantRight(route: { method: string | string[]; url: string; config?: object }): void {
  const right = rightTo(route.method, route.url)
  route.config = { ...route.config, right, urgent: urgentRoutes.has(`${route.method} ${route.url}`) }
}

export type Authentication = {
  /** Sets `request.holder`, or throws 400, 401, 403 or 429. */
  onRequest(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Asks again once the body is there, which may have taken its time: nobody acts on a right that ended meanwhile. */
  preHandler(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** For a body that is read as a stream, once all of it came. Throws where the caller could not begin the request any more. */
  assertStillIn(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Whether the caller of a long answer could still begin it. */
  isStillIn(request: FastifyRequest): boolean
  /** The caller that signs in, by a token in the body or as on any route, but not by another session. Throws as `onRequest` does. */
  signIn(request: FastifyRequest, reply: FastifyReply, token: string | undefined): Promise<Holder>
}

/**
 * A valid credential always passes: guesses from the same address must not lock an operator out, and
 * 256 random bits are not guessed. A token in a header is the only credential of its request; no certificate helps a bad token.
 */
export function createAuthentication(parts: AuthenticationParts): Authentication {
  function identify(request: FastifyRequest): Caller | Failure {
    if (request.headers.authorization !== undefined) return byCredential(request)
    const secret = sessionCookie(request)
    if (secret === null) return byCredential(request)
    return parts.sessions.find(secret, () => shownFingerprint(request)) ?? 'session_ended'
  }

  function byCredential(request: FastifyRequest): Caller | Failure {
    const { authorization } = request.headers
    if (authorization !== undefined) {
      const token = bearerOf(authorization)
      return token === null ? 'token_missing' : byToken(token)
    }
    const fingerprint = shownFingerprint(request)
    if (fingerprint === null) return 'token_missing'
    const holder = parts.operatorOf(fingerprint)
    return holder === null ? 'operator_refused' : { holder, session: null }
  }

  function byToken(token: string): Caller | Failure {
    const holder = parts.holderOf(token)
    return holder === null ? 'token_refused' : { holder, session: null }
  }

  /** A token that ended is told so to a caller that has it: it is not a typing error. */
  function detailOf(reason: Failure, token: string | null): string {
    const end = reason === 'token_refused' && token !== null ? parts.endOf(token) : null
    if (end === null) return details[reason]
    return `this token ${end.how === 'revoked' ? 'was revoked' : 'expired'} at ${time(end.at)}`
  }

  async function refuse(
    request: FastifyRequest,
    reply: FastifyReply,
    reason: Failure,
    token = bearerOf(request.headers.authorization),
  ): Promise<never> {
    const waitSeconds = await parts.countFailure(request)
    if (waitSeconds !== null) {
      throw new Problem(
        httpProblems,
        'rate_limited',
        'too many requests from this address had no valid credential',
        {
          retryAfterSeconds: waitSeconds,
        },
      )
    }
    parts.failed(request, reason)
    const error = reason === 'token_refused' ? ', error="invalid_token"' : ''
    reply.header('www-authenticate', `Bearer realm="rollcall"${error}`)
    throw new Problem(operatorProblems, reason, detailOf(reason, token))
  }

  async function assertStillIn(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const caller = identify(request)
    if (typeof caller === 'string') await refuse(request, reply, caller)
  }

  return {
    async onRequest(request, reply) {
      const { right } = request.routeOptions.config
      if (right === undefined || 'access' in right) return
      assertOneAuthorization(request)
      const caller = identify(request)
      if (typeof caller === 'string') return refuse(request, reply, caller)
      const { holder, session } = caller
      request.holder = holder
      request.session = session
      if (request.headers.authorization === undefined) assertMeant(request, session)
      if (session !== null) parts.sessions.touch(session)
      assertRight(holder, right)
      parts.used(holder, request.ip)
    },

    async preHandler(request, reply) {
      if (request.holder !== null && request.body !== undefined) await assertStillIn(request, reply)
    },

    assertStillIn,

    isStillIn(request) {
      const caller = identify(request)
      return typeof caller !== 'string' && caller.holder.id === request.holder?.id
    },

    async signIn(request, reply, token) {
      assertOneAuthorization(request)
      assertSameOrigin(request)
      const caller = token === undefined ? byCredential(request) : byToken(token)
      if (typeof caller === 'string') return refuse(request, reply, caller, token)
      parts.used(caller.holder, request.ip)
      return caller.holder
    },
  }
}

/** A browser sends cookies and certificates by itself: only our own page knows the token of the session. */
function assertMeant(request: FastifyRequest, session: ConsoleSession | null): void {
  assertSameOrigin(request)
  if (session === null || !changesSomething(request)) return
  if (isCsrfToken(session, request.headers['x-csrf-token'])) return
  throw new Problem(
    operatorProblems,
    'csrf_token_missing',
    'a change within a session needs its X-CSRF-Token',
  )
}

function shownFingerprint(request: FastifyRequest): string | null {
  const certificate = presentedCertificate(request)
  return certificate === null ? null : fingerprintOf(certificate.raw)
}

const details: Record<Failure, string> = {
  token_missing: 'this route asks for an API token, or for the certificate of an operator',
  token_refused: 'no such token is accepted',
  operator_refused: 'the client certificate is no operator, or is one no more',
  session_ended: 'the session of this cookie has ended',
}

function assertRight(holder: Holder, { role, scope }: { role: Holder['role']; scope: string }): void {
  if (!includesRole(holder.role, role)) {
    throw new Problem(
      operatorProblems,
      'role_insufficient',
      `this needs the role ${role}, the caller has ${holder.role}`,
    )
  }
  if (scope === 'none' && holder.scope !== null) {
    throw new Problem(
      operatorProblems,
      'scope_insufficient',
      `the caller reaches the devices of group ${holder.scope} alone`,
    )
  }
}

/** The actor of a change, for the audit row. Only after authentication. */
export function actorOf(request: FastifyRequest): Actor & { kind: Holder['kind']; requestId: string } {
  if (request.holder === null) throw new Error('a change without an authenticated caller')
  const keyed = request.keyed === null ? {} : { keyed: request.keyed }
  const { name, kind } = request.holder
  return { name, kind, requestId: request.id, ...keyed, seen: versionSeen(request) }
}

/** Node keeps the first of two and tells nobody; a proxy in front may have read the other. */
export function assertOneAuthorization({ raw: { rawHeaders } }: FastifyRequest): void {
  let seen = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]!.toLowerCase() === 'authorization') seen += 1
  }
  if (seen > 1)
    throw new Problem(httpProblems, 'request_refused', 'there is more than one Authorization header')
}

function bearerOf(header: string | undefined): string | null {
  return /^Bearer +([A-Za-z0-9._~+/=-]{1,512})$/i.exec(header ?? '')?.[1] ?? null
}

/** The caller as log lines name it. */
export function callerOf(request: FastifyRequest): { requestId: string; actor: string } {
  const { name, requestId } = actorOf(request)
  return { requestId, actor: name }
}
