// Who calls: a bearer token (RFC 6750) or an operator's certificate, both looked up in the registry, the role a route asks
// for, and a bound on failures per address. Never logs or echoes a token.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Actor } from '../../db/audit/audit.ts'
import type { KeyedRequest } from '../../db/keyed-changes.ts'
import type { Holder } from '../../db/operators/token-store.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { presentedCertificate } from '../http/peer-certificate.ts'
import { versionSeen } from '../http/precondition.ts'
import { Problem } from '../http/problem.ts'
import { type Right, reaches, rightTo } from './access.ts'

declare module 'fastify' {
  interface FastifyRequest {
    holder: Holder | null
    /** Where the request came with an Idempotency-Key. */
    keyed: KeyedRequest | null
  }
  interface FastifyContextConfig {
    /** Who may call a route: from the table in access.ts, never by hand. */
    right?: Right
  }
}

export type AuthenticationParts = {
  holderOf: (token: string) => Holder | null
  operatorOf: (fingerprint: string) => Holder | null
  /** Seconds to wait where an address failed too often, else null. Counts the failure. */
  countFailure: (request: FastifyRequest) => Promise<number | null>
  failed: (request: FastifyRequest, reason: Failure) => void
  used: (holder: Holder, address: string) => void
}
type Failure = 'token_missing' | 'token_refused' | 'operator_refused'

/** Run on every route as it is added: one that nobody entered in the table keeps the service from starting. */
export function grantRight(route: { method: string | string[]; url: string; config?: object }): void {
  route.config = { ...route.config, right: rightTo(route.method, route.url) }
}

export type Authentication = {
  /** Sets `request.holder`, or throws 400, 401, 403 or 429. */
  onRequest(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Asks again once the body is there, which may have taken its time: nobody acts on a right that ended meanwhile. */
  preHandler(request: FastifyRequest, reply: FastifyReply): Promise<void>
}

/**
 * A valid credential always passes: somebody who guesses from the same address must not lock an operator out, and
 * 256 random bits are not guessed. One that is sent in a header is judged alone; no certificate helps a bad token.
 */
export function createAuthentication(parts: AuthenticationParts): Authentication {
  function identify(request: FastifyRequest): Holder | Failure {
    const { authorization } = request.headers
    if (authorization !== undefined) {
      const token = bearerOf(authorization)
      return token === null ? 'token_missing' : (parts.holderOf(token) ?? 'token_refused')
    }
    const certificate = presentedCertificate(request)
    if (certificate === null) return 'token_missing'
    return parts.operatorOf(fingerprintOf(certificate.raw)) ?? 'operator_refused'
  }

  async function refuse(request: FastifyRequest, reply: FastifyReply, reason: Failure): Promise<never> {
    const waitSeconds = await parts.countFailure(request)
    if (waitSeconds !== null) {
      throw new Problem('rate_limited', 'too many requests from this address had no valid credential', {
        retryAfterSeconds: waitSeconds,
      })
    }
    parts.failed(request, reason)
    const error = reason === 'token_refused' ? ', error="invalid_token"' : ''
    reply.header('www-authenticate', `Bearer realm="rollcall"${error}`)
    throw new Problem(reason, details[reason])
  }

  return {
    async onRequest(request, reply) {
      const { right } = request.routeOptions.config
      if (right === undefined || 'access' in right) return
      assertOneAuthorization(request)
      const holder = identify(request)
      if (typeof holder === 'string') return refuse(request, reply, holder)
      request.holder = holder
      assertRight(holder, right)
      parts.used(holder, request.ip)
    },

    async preHandler(request, reply) {
      if (request.holder === null || request.body === undefined) return
      const holder = identify(request)
      if (typeof holder === 'string') await refuse(request, reply, holder)
    },
  }
}

const details: Record<Failure, string> = {
  token_missing: 'this route asks for an API token, or for the certificate of an operator',
  token_refused: 'no such token is accepted',
  operator_refused: 'the client certificate is no operator, or is one no more',
}

function assertRight(holder: Holder, { role, scope }: { role: Holder['role']; scope: string }): void {
  if (!reaches(holder.role, role)) {
    throw new Problem('role_insufficient', `this needs the role ${role}, the caller has ${holder.role}`)
  }
  if (scope === 'none' && holder.scope !== null) {
    throw new Problem('scope_insufficient', `the caller reaches the devices of group ${holder.scope} alone`)
  }
}

/** Who a change is made by, for the audit row. Only after authentication. */
export function actorOf(request: FastifyRequest): Actor & { requestId: string } {
  if (request.holder === null) throw new Error('a change without an authenticated caller')
  const keyed = request.keyed === null ? {} : { keyed: request.keyed }
  return { name: request.holder.name, requestId: request.id, ...keyed, seen: versionSeen(request) }
}

/** Node keeps the first of two and tells nobody; whoever stands in front of us may have read the other. */
export function assertOneAuthorization({ raw: { rawHeaders } }: FastifyRequest): void {
  let seen = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]!.toLowerCase() === 'authorization') seen += 1
  }
  if (seen > 1) throw new Problem('request_refused', 'there is more than one Authorization header')
}

function bearerOf(header: string | undefined): string | null {
  return /^Bearer +([A-Za-z0-9._~+/=-]{1,512})$/i.exec(header ?? '')?.[1] ?? null
}
