// The cookie of a console session, and what tells a request of our own page from one that another page made.
// Knows headers; the holder of a session is looked up elsewhere.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../http/problem.ts'
import { operatorProblems } from './operator-problems.ts'

// __Host-: a browser takes it from this very host alone, over TLS, for all paths (RFC 6265bis §4.1.3.2).
const NAME = '__Host-rollcall'
const ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Strict'
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS'])

/** The secret of the session; null where no cookie was sent, and `''` where what was sent cannot be one. */
export function sessionCookie({ headers: { cookie } }: FastifyRequest): string | null {
  if (cookie === undefined) return null
  const found = cookie
    .split(';')
    .map(pair => pair.trim())
    .filter(pair => pair.startsWith(`${NAME}=`))
  if (found.length === 0) return null
  const value = found[0]!.slice(NAME.length + 1)
  return found.length === 1 && /^[A-Za-z0-9_-]{43}$/.test(value) ? value : ''
}

export function setSessionCookie(reply: FastifyReply, secret: string, seconds: number): void {
  reply.header('set-cookie', `${NAME}=${secret}; Max-Age=${Math.floor(seconds)}; ${ATTRIBUTES}`)
}

export function clearSessionCookie(reply: FastifyReply): void {
  reply.header('set-cookie', `${NAME}=; Max-Age=0; ${ATTRIBUTES}`)
}

export function changesSomething({ method }: FastifyRequest): boolean {
  return !safeMethods.has(method)
}

/**
 * A browser shows cookies and certificates for whichever page asks it to. Where it says that the page is not ours, a change is
 * refused. Programs send neither header.
 */
export function assertSameOrigin(request: FastifyRequest): void {
  if (!changesSomething(request)) return
  const { origin, host, 'sec-fetch-site': site } = request.headers
  const sameSite = site === undefined || site === 'same-origin' || site === 'none'
  if (sameSite && (origin === undefined || origin === `https://${host}`)) return
  throw new Problem(operatorProblems, 'origin_refused', 'the request was made by a page of another origin')
}
