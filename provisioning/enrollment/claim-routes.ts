// Claims as operators see them: make, list, read, revoke. device-enrollment-routes.ts and est-routes.ts use a claim.

import type { FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Claim } from '../../db/enrollment/claims.ts'
import type { EnrollmentReader } from '../../db/enrollment/enrollment-reader.ts'
import type { RegistryWriter } from '../../db/index.ts'
import { toPem } from '../../pki/pem.ts'
import { type Api, refusals, secured, time, timeOrNull } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { Problem, refusal } from '../http/problem.ts'
import { NoQuery, PageOf, PageQuery } from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AuthorizationScope } from '../operators/authorization-scope.ts'
import { scopeOf } from '../operators/authorization-scope.ts'
import { revokeRoute } from '../operators/revoke-route.ts'
import type { ClaimService } from './claim-service.ts'
import { enrollmentProblems } from './enrollment-problems.ts'
import * as schemas from './enrollment-schemas.ts'
import { issuanceProblems } from './issuance-problems.ts'
import { accountBindingOf, type SharedSecrets } from './shared-secrets.ts'

export type ClaimServices = {
  writer: RegistryWriter
  enrollments: EnrollmentReader
  claimService: ClaimService
  secrets: SharedSecrets
  /** PEM of an issuer and of what stands above it up to, but without, the root; and of the root. */
  chainOf: (issuerId: string | null) => { chain: string[]; ca: string | null }
  log: Log
  now: () => number
  authorizationScope: AuthorizationScope
}

const isId = (text: string) => /^[0-9a-f-]{36}$/.test(text)

export function claimRoutes(api: Api, services: ClaimServices): void {
  const { writer, enrollments, claimService, secrets, chainOf, authorizationScope, log, now } = services
  const tags = ['enrollment']
  const path = '/v1/claims'

  async function claimOf(request: FastifyRequest, id: string) {
    const claim = await enrollments.claim(id, scopeOf(request))
    if (claim === null) throw new Problem(enrollmentProblems, 'claim_unknown', `there is no claim ${id}`)
    const { der, ...toClaimResponse } = claim
    const certificate = der === null ? null : toPem(der, 'CERTIFICATE')
    return { ...shown(toClaimResponse, now()), certificate, ...chainOf(claim.issuerId) }
  }

  /** With what a client of ACME takes, where the request asks for it. */
  async function made(request: FastifyRequest, id: string) {
    const { acme = false } = request.body as { acme?: boolean }
    return { ...(await claimOf(request, id)), ...(acme ? { acme: accountBindingOf(secrets, id) } : {}) }
  }

  api.post(
    path,
    {
      config: {
        secret: true,
        replay: async ({ target }, request, reply) => {
          const claim = await made(request, target)
          // Decided, but never signed: asked again, it is decided anew.
          if (claim.status === 'unsigned') return null
          reply.code(201).header('location', `${path}/${target}`)
          return claim
        },
      },
      schema: {
        tags,
        security: secured,
        summary: 'Make a claim: a certificate that may only enroll',
        description:
          'For a batch of devices: at most `quota` of them, only those in `allow` where it is given, for at most 30 days. What it enrolls joins `group`, and lapses unless it connects within the hour.',
        querystring: NoQuery,
        body: schemas.NewClaim,
        response: { 201: schemas.MadeClaim, ...refusals },
      },
    },
    async (request, reply) => {
      const { body } = request
      const asked = body.group === undefined ? undefined : [body.group]
      const [group = null] = authorizationScope.groupsFor(request, asked)
      const { allow: allowlist = null, approval = false, days = schemas.CLAIM_DAYS_MAX } = body
      const { name, quota, csr } = body
      const order = { name, group, quota, allowlist, approval, days, csr }
      const outcome = await claimService.create(order, actorOf(request))
      if (typeof outcome !== 'string') throw refusal(issuanceProblems, outcome)
      log.claimMade(callerOf(request), outcome, quota)
      return reply
        .code(201)
        .header('location', `${path}/${outcome}`)
        .send(await made(request, outcome))
    },
  )

  api.get(
    path,
    {
      schema: {
        tags,
        security: secured,
        summary: 'List claims',
        querystring: PageQuery,
        response: { 200: PageOf(schemas.Claim), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const { items, next } = await enrollments.claims(decodeCursor(cursor, isId), limit, scopeOf(request))
      return { items: items.map(claim => shown(claim, now())), nextCursor: encodeCursor(next) }
    },
  )

  api.get(
    `${path}/:id`,
    {
      schema: {
        tags,
        security: secured,
        summary: 'Read a claim with its certificate',
        params: schemas.IdParams,
        querystring: NoQuery,
        response: { 200: schemas.ClaimWithPem, ...refusals },
      },
    },
    request => claimOf(request, request.params.id),
  )

  revokeRoute(api, {
    path: `${path}/:id`,
    tags,
    summary: 'Revoke a claim',
    description: 'It enrolls nobody any more. What it enrolled stays: revoke that by itself.',
    params: schemas.IdParams,
    response: schemas.ClaimWithPem,
    read: claimOf,
    async revoke(request, id) {
      await claimOf(request, id)
      await writer.revokeClaim(id, actorOf(request))
      log.claimRevoked(callerOf(request), id)
    },
  })
}

function shown({ notBefore: _, issuerId: __, ...claim }: Claim, at: number) {
  return {
    ...claim,
    status: statusOf(claim, at),
    createdAt: time(claim.createdAt),
    notAfter: time(claim.notAfter),
    revokedAt: timeOrNull(claim.revokedAt),
  }
}

type ClaimDates = Pick<Claim, 'revokedAt' | 'notAfter' | 'fingerprint'>

function statusOf(claim: ClaimDates, at: number): Static<typeof schemas.Claim>['status'] {
  if (claim.revokedAt !== null) return 'revoked'
  if (claim.fingerprint === null) return 'unsigned'
  return claim.notAfter <= at ? 'expired' : 'open'
}
