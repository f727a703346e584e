// API tokens, shown once, and operators' certificates. A caller creates none with more rights than its own.

import type { RegistryWriter } from '../../db/index.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { ApiToken, Operator, OperatorReader } from '../../db/operators/operator-reader.ts'
import { isFingerprint } from '../../pki/certificate-facts.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { idempotencyProblems } from '../http/idempotency-problems.ts'
import { Problem } from '../http/problem.ts'
import { NoQuery, PageOf } from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from './authentication.ts'
import { scopeOf } from './authorization-scope.ts'
import { delegate } from './delegation.ts'
import { validateOperatorCertificate } from './operator-certificate.ts'
import { operatorProblems } from './operator-problems.ts'
import * as schemas from './operator-schemas.ts'
import { revokeRoute } from './revoke-route.ts'

type OperatorServices = {
  writer: RegistryWriter
  issuers: () => Map<string, Issuer>
  log: Log
  pq: PqMode
  now: () => number
  operators: OperatorReader
}

const tags = ['operators']
const isTokenId = (text: string) => /^[0-9a-f-]{36}$/.test(text)

export function operatorRoutes(api: Api, services: OperatorServices): void {
  const { writer, operators, issuers, log, pq, now } = services

  async function tokenOf(id: string, scope: string | null) {
    const token = await operators.token(id, scope)
    if (token === null) throw new Problem(operatorProblems, 'token_unknown', `there is no API token ${id}`)
    return toTokenResponse(token, now())
  }

  async function operatorOf(fingerprint: string, scope: string | null) {
    const operator = await operators.operator(fingerprint, scope)
    if (operator === null)
      throw new Problem(operatorProblems, 'operator_unknown', `no operator has certificate ${fingerprint}`)
    return toOperatorResponse(operator, now())
  }

  api.post(
    '/v1/api-tokens',
    {
      config: {
        secret: true,
        // Nobody can show the lost token again: while nobody used it, it is given another secret.
        replay: async ({ target }, request, reply) => {
          const token = await writer.renewUnusedToken(target, actorOf(request))
          if (token === null) {
            throw new Problem(
              idempotencyProblems,
              'answer_lost',
              `API token ${target} was made and is shown once: revoke it, make another`,
            )
          }
          reply.code(201)
          return { ...(await tokenOf(target, null)), token }
        },
      },
      schema: {
        tags,
        security: secured,
        summary: 'Make an API token; the answer is the only place that shows it',
        description: 'Never stronger than the caller: no wider role, no other group, no later end.',
        querystring: NoQuery,
        body: schemas.NewApiToken,
        response: { 201: schemas.ApiTokenWithSecret, ...refusals },
      },
    },
    async (request, reply) => {
      const { name, ...wanted } = request.body
      const given = delegate(request.holder!, wanted, now())
      const { id, token } = await writer.createToken({ name, ...given }, actorOf(request))
      log.tokenCreated(callerOf(request), id, name, given.role)
      return reply.code(201).send({ ...(await tokenOf(id, null)), token })
    },
  )

  api.get(
    '/v1/api-tokens',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List API tokens, without the tokens',
        querystring: schemas.PageQuery,
        response: { 200: PageOf(schemas.ApiToken), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const { items, next } = await operators.tokens(scopeOf(request), decodeCursor(cursor, isTokenId), limit)
      return { items: items.map(token => toTokenResponse(token, now())), nextCursor: encodeCursor(next) }
    },
  )

  revokeRoute(api, {
    path: '/v1/api-tokens/:token',
    tags,
    summary: 'Revoke an API token, for good; again changes nothing',
    params: schemas.TokenParams,
    response: schemas.ApiToken,
    read: (request, id) => tokenOf(id, scopeOf(request)),
    async revoke(request, id) {
      await writer.revokeToken(id, scopeOf(request), actorOf(request))
      log.tokenRevoked(callerOf(request), id)
    },
  })

  api.post(
    '/v1/operators',
    {
      config: {
        replay: async (done, request, reply) => {
          reply.code(201)
          return operatorOf(done.target, scopeOf(request))
        },
      },
      schema: {
        tags,
        security: secured,
        summary: 'Register the certificate of an operator, trusted for itself',
        description:
          'Never one that was issued here or whose key a device has. Ends after `days`, and never later than the certificate or the caller.',
        querystring: NoQuery,
        body: schemas.NewOperator,
        response: { 201: schemas.Operator, ...refusals },
      },
    },
    async (request, reply) => {
      const { name, certificate, ...wanted } = request.body
      const given = delegate(request.holder!, wanted, now())
      const { der, notAfter } = validateOperatorCertificate(certificate, {
        issuers: issuers(),
        pq,
        now: now(),
      })
      const expiresAt = Math.min(given.expiresAt, notAfter)
      const fingerprint = await writer.addOperator({ name, ...given, der, expiresAt }, actorOf(request))
      log.operatorAdded(callerOf(request), fingerprint, name, given.role)
      return reply.code(201).send(await operatorOf(fingerprint, scopeOf(request)))
    },
  )

  api.get(
    '/v1/operators',
    {
      schema: {
        tags,
        security: secured,
        summary: "List operators' certificates, by fingerprint",
        querystring: schemas.PageQuery,
        response: { 200: PageOf(schemas.Operator), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const after = decodeCursor(cursor, isFingerprint)
      const { items, next } = await operators.operators(scopeOf(request), after, limit)
      return {
        items: items.map(operator => toOperatorResponse(operator, now())),
        nextCursor: encodeCursor(next),
      }
    },
  )

  revokeRoute(api, {
    path: '/v1/operators/:operator',
    tags,
    summary: 'Accept the certificate of an operator no more, for good; again changes nothing',
    params: schemas.OperatorParams,
    response: schemas.Operator,
    read: (request, fingerprint) => operatorOf(fingerprint, scopeOf(request)),
    async revoke(request, fingerprint) {
      await writer.revokeOperator(fingerprint, scopeOf(request), actorOf(request))
      log.operatorRevoked(callerOf(request), fingerprint)
    },
  })
}

function toTokenResponse({ scope: group, ...token }: ApiToken, now: number) {
  return { ...token, group, ...times(token, now) }
}

function toOperatorResponse({ scope: group, ...operator }: Operator, now: number) {
  const { notBefore, notAfter } = operator
  return { ...operator, group, ...times(operator, now), notBefore: time(notBefore), notAfter: time(notAfter) }
}

type Life = Pick<ApiToken, 'createdAt' | 'expiresAt' | 'revokedAt' | 'lastUsedAt'>

function times({ createdAt, expiresAt, revokedAt, lastUsedAt }: Life, now: number) {
  const expired = expiresAt !== null && expiresAt <= now
  const state = revokedAt !== null ? 'revoked' : expired ? 'expired' : 'accepted'
  return {
    state: state as 'accepted' | 'expired' | 'revoked',
    createdAt: time(createdAt),
    expiresAt: timeOrNull(expiresAt),
    revokedAt: timeOrNull(revokedAt),
    lastUsedAt: timeOrNull(lastUsedAt),
  }
}

function time(at: number): string {
  return new Date(at).toISOString()
}

function timeOrNull(at: number | null): string | null {
  return at === null ? null : time(at)
}
