// Console sessions: signing in with a token or certificate for a cookie, and out again.
// The secret of a session is in the cookie alone; the answer holds what changes must show beside it.

import type { FastifyReply } from 'fastify'
import Type, { type Static } from 'typebox'
import { type Api, refusals, secured, time } from '../http/api.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import type { Authentication } from './authentication.ts'
import { callerOf } from './authentication.ts'
import type { ConsoleSessions, SignedIn } from './console-sessions.ts'
import { toHolderResponse } from './holder-response.ts'
import { operatorProblems } from './operator-problems.ts'
import { WhoAmI } from './operator-schemas.ts'
import { clearSessionCookie, sessionCookie, setSessionCookie } from './session-cookie.ts'

type SessionServices = {
  log: Log
  now: () => number
}

const SignIn = schemas.Nullable(
  Type.Object({ token: Type.Optional(Type.String({ maxLength: 512 })) }, schemas.strict),
)
const Session = Type.Object({
  operator: WhoAmI,
  csrfToken: Type.String({ description: 'Changes within the session send it as X-CSRF-Token' }),
  expiresAt: schemas.Time,
})

export function sessionRoutes(
  api: Api,
  { log, now }: SessionServices,
  parts: { sessions: ConsoleSessions; authentication: Pick<Authentication, 'signIn'> },
): void {
  const { sessions, authentication } = parts
  const tags = ['session']

  api.post(
    '/v1/session',
    {
      schema: {
        tags,
        summary: 'Sign in: a token in the body, or the certificate of an operator, for a cookie',
        description:
          'The cookie stands for the caller until the session ends: after 8 hours, 30 minutes without use, or with its token or certificate.',
        querystring: schemas.NoQuery,
        body: SignIn,
        response: { 200: Session, ...refusals },
      },
    },
    async (request, reply) => {
      const holder = await authentication.signIn(request, reply, request.body?.token)
      const before = sessionCookie(request)
      if (before !== null) sessions.end(before)
      const { secret, session } = sessions.begin(holder)
      setSessionCookie(reply, secret, (session.endsAt - now()) / 1000)
      log.signedIn({ requestId: request.id, actor: holder.name }, holder.kind)
      return shown({ holder, session })
    },
  )

  api.get(
    '/v1/session',
    {
      schema: {
        tags,
        security: secured,
        summary: 'The operator signed in with this cookie, and the token that changes must show',
        querystring: schemas.NoQuery,
        response: { 200: Session, ...refusals },
      },
    },
    async ({ holder, session }) => {
      if (session === null) throw noSession()
      return shown({ holder: holder!, session })
    },
  )

  api.delete(
    '/v1/session',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Sign out',
        querystring: schemas.NoQuery,
        body: schemas.NoBody,
        response: { 204: Type.Null(), ...refusals },
      },
    },
    async (request, reply: FastifyReply) => {
      if (request.session === null) throw noSession()
      sessions.end(sessionCookie(request) ?? '')
      clearSessionCookie(reply)
      log.signedOut(callerOf(request))
      return reply.code(204).send()
    },
  )
}

function shown({ holder, session }: SignedIn): Static<typeof Session> {
  return { operator: toHolderResponse(holder), csrfToken: session.csrfToken, expiresAt: time(session.endsAt) }
}

function noSession(): Problem {
  return new Problem(
    operatorProblems,
    'session_unknown',
    'the caller shows a token or certificate, and no cookie of a session',
  )
}
