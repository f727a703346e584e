// Who calls: bearer tokens (RFC 6750) looked up in the registry, roles in order, and a bound on failures per address.
// Never logs or echoes a token.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Role } from '../db/schema.ts'
import type { TokenHolder } from '../db/token-store.ts'
import { Problem } from './problem.ts'

export type Holder = TokenHolder
declare module 'fastify' {
  interface FastifyRequest {
    holder: Holder | null
  }
  interface FastifyContextConfig {
    /** The least role a route asks of a token. */
    role?: Role
    /** How a route without a role is guarded: `certificate` by the device's own, `open` for everybody. */
    access?: 'certificate' | 'open'
  }
}

export type AuthenticationParts = {
  holderOf: (token: string) => Holder | null
  /** Seconds to wait where an address failed too often, else null. Counts the failure. */
  countFailure: (request: FastifyRequest) => Promise<number | null>
  failed: (request: FastifyRequest, reason: 'token_missing' | 'token_refused') => void
}

/** Held against every route as it is added: one that forgot to say who may call it keeps the service from starting. */
export function assertGuarded(route: { method: string | string[]; url: string; config?: object }): void {
  const { role, access } = (route.config ?? {}) as { role?: Role; access?: string }
  if ((role === undefined) === (access === undefined)) {
    throw new Error(`${route.method} ${route.url} must name either a role or another access`)
  }
}

const ranks: Record<Role, number> = { viewer: 0, enroller: 1, operator: 2, admin: 3 }

/**
 * A hook that sets `request.holder` or throws 401, 403 or 429. A valid token always passes: somebody who guesses
 * from the same address must not lock an operator out, and 256 random bits are not guessed.
 */
export function createAuthentication(parts: AuthenticationParts) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const role = request.routeOptions.config.role
    if (role === undefined) return
    const token = bearerOf(request.headers.authorization)
    request.holder = token === null ? null : parts.holderOf(token)
    if (request.holder === null) {
      const reason = token === null ? 'token_missing' : 'token_refused'
      const waitSeconds = await parts.countFailure(request)
      if (waitSeconds !== null) {
        throw new Problem('rate_limited', 'too many requests from this address had no valid token', {
          retryAfterSeconds: waitSeconds,
        })
      }
      parts.failed(request, reason)
      reply.header(
        'www-authenticate',
        `Bearer realm="rollcall"${token === null ? '' : ', error="invalid_token"'}`,
      )
      throw new Problem(
        reason,
        token === null ? 'this route asks for an API token' : 'no such token is accepted',
      )
    }
    if (ranks[request.holder.role] < ranks[role]) {
      throw new Problem(
        'role_insufficient',
        `this needs the role ${role}, the token has ${request.holder.role}`,
      )
    }
  }
}

/** Who a change is made by, for the audit row. Only after authentication. */
export function actorOf(request: FastifyRequest): { name: string; requestId: string } {
  if (request.holder === null) throw new Error('a change without an authenticated caller')
  return { name: request.holder.name, requestId: request.id }
}

function bearerOf(header: string | undefined): string | null {
  return /^Bearer +([A-Za-z0-9._~+/=-]{1,512})$/i.exec(header ?? '')?.[1] ?? null
}
