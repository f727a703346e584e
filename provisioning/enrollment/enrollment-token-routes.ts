// Enrollment tokens as operators see them: make, list, read, revoke.

import type { FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { EnrollmentReader } from '../../db/enrollment/enrollment-reader.ts'
import { ATTEMPTS_MAX, type EnrollmentToken } from '../../db/enrollment/enrollment-tokens.ts'
import type { RegistryWriter } from '../../db/index.ts'
import { type Api, refusals, secured, time, timeOrNull } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { Problem } from '../http/problem.ts'
import { NoQuery, PageOf, PageQuery } from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AuthorizationScope } from '../operators/authorization-scope.ts'
import { scopeOf } from '../operators/authorization-scope.ts'
import { revokeRoute } from '../operators/revoke-route.ts'
import { enrollmentProblems } from './enrollment-problems.ts'
import * as schemas from './enrollment-schemas.ts'
import { accountBindingOf, type SharedSecrets } from './shared-secrets.ts'

export type EnrollmentTokenServices = {
  writer: RegistryWriter
  enrollments: EnrollmentReader
  secrets: SharedSecrets
  log: Log
  now: () => number
  authorizationScope: AuthorizationScope
}

const isId = (text: string) => /^[0-9a-f-]{36}$/.test(text)

export function enrollmentTokenRoutes(api: Api, services: EnrollmentTokenServices): void {
  const { writer, enrollments, secrets, authorizationScope, log, now } = services
  const tags = ['enrollment']
  const path = '/v1/enrollment-tokens'

  const cmpSecretOf = (id: string) => ({ reference: id, secret: secrets.secretOf('cmp', id) })

  async function tokenOf(request: FastifyRequest, id: string) {
    const token = await enrollments.enrollmentToken(id, scopeOf(request))
    if (token === null)
      throw new Problem(enrollmentProblems, 'enrollment_token_unknown', `there is no enrollment token ${id}`)
    return shown(token, now())
  }

  api.post(
    path,
    {
      // Another token is as good as one that nobody ever saw; that one ends unused.
      config: { secret: true, replay: async () => null },
      schema: {
        tags,
        security: secured,
        summary: 'Make a one-time enrollment token',
        description:
          'For one device on record, or for a new device in a group. The token is shown in this answer and never again.',
        querystring: NoQuery,
        body: schemas.NewEnrollmentToken,
        response: { 201: schemas.MadeEnrollmentToken, ...refusals },
      },
    },
    async (request, reply) => {
      const { body } = request
      if ('group' in body) authorizationScope.groupsFor(request, [body.group])
      else {
        await authorizationScope.assertDevice(request, body.deviceId)
        authorizationScope.assertMayCertify(request, body.deviceId)
      }
      const bound = 'group' in body ? { group: body.group } : { deviceId: body.deviceId }
      const { lifetimeSeconds = schemas.TOKEN_SECONDS, approval = false, cmp = false, acme = false } = body
      // A token enrolls within the scope of its maker.
      const terms = authorizationScope.approvalFor(request)
      const approvalIfHeld = 'deviceId' in body && terms !== false && terms.ifHeld
      const madeWithin = terms === false ? null : terms.within
      const order = { bound, approval, approvalIfHeld, madeWithin, lifetimeMs: lifetimeSeconds * 1000 }
      const { token, ...made } = await writer.createEnrollmentToken(order, actorOf(request))
      log.enrollmentTokenMade(callerOf(request), made.id)
      return reply
        .code(201)
        .header('location', `${path}/${made.id}`)
        .send({
          ...{ ...shown(made, now()), token },
          ...(cmp ? { cmp: cmpSecretOf(made.id) } : {}),
          ...(acme ? { acme: accountBindingOf(secrets, made.id) } : {}),
        })
    },
  )

  api.get(
    path,
    {
      schema: {
        tags,
        security: secured,
        summary: 'List enrollment tokens',
        querystring: PageQuery,
        response: { 200: PageOf(schemas.EnrollmentToken), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const after = decodeCursor(cursor, isId)
      const { items, next } = await enrollments.enrollmentTokens(after, limit, scopeOf(request))
      return { items: items.map(token => shown(token, now())), nextCursor: encodeCursor(next) }
    },
  )

  api.get(
    `${path}/:id`,
    {
      schema: {
        tags,
        security: secured,
        summary: 'Read an enrollment token, without the token itself',
        params: schemas.IdParams,
        querystring: NoQuery,
        response: { 200: schemas.EnrollmentToken, ...refusals },
      },
    },
    request => tokenOf(request, request.params.id),
  )

  revokeRoute(api, {
    path: `${path}/:id`,
    tags,
    summary: 'Revoke an enrollment token',
    description:
      'It opens nothing any more, a lost answer included. A certificate that it got stays: revoke that by itself.',
    params: schemas.IdParams,
    response: schemas.EnrollmentToken,
    read: tokenOf,
    async revoke(request, id) {
      await tokenOf(request, id)
      await writer.revokeEnrollmentToken(id, actorOf(request))
      log.enrollmentTokenRevoked(callerOf(request), id)
    },
  })
}

function shown({ madeWithin: _, ...token }: EnrollmentToken, at: number) {
  return {
    ...token,
    status: statusOf(token, at),
    createdAt: time(token.createdAt),
    expiresAt: time(token.expiresAt),
    revokedAt: timeOrNull(token.revokedAt),
    usedAt: timeOrNull(token.usedAt),
  }
}

function statusOf(
  token: Omit<EnrollmentToken, 'madeWithin'>,
  at: number,
): Static<typeof schemas.EnrollmentToken>['status'] {
  if (token.revokedAt !== null) return 'revoked'
  if (token.usedAt !== null) return 'used'
  if (token.expiresAt <= at) return 'expired'
  return token.attempts >= ATTEMPTS_MAX ? 'exhausted' : 'open'
}
