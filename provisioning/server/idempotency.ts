// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the same request again has the same answer, and is done once.
// What was changed is noted by the registry in the transaction of the change; here the answer is kept and given again.

import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import Type, { type TObject } from 'typebox'
import type { IdempotencyStore, KeptAnswer } from '../../db/idempotency.ts'
import type { KeyedChange, KeyedRequest } from '../../db/keyed-changes.ts'
import type { Api } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { idempotencyProblems } from '../http/idempotency-problems.ts'
import { Problem } from '../http/problem.ts'
import type { Right } from '../operators/access.ts'

/**
 * The answer to a change that was made, but whose answer was lost with the process. Null where the change that is on
 * record is not all of it: the request is served again then.
 */
type Replay = (change: KeyedChange, request: FastifyRequest, reply: FastifyReply) => Promise<object | null>

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route that takes an Idempotency-Key has one. */
    replay?: Replay
    /** The answer shows a secret once: it is never kept, only recalled. */
    secret?: boolean
  }
}

/** Visible ASCII without comma, quote and backslash, bare or as the string of RFC 8941 that the draft writes. */
const KEY_PATTERN = '^(?:[!#-+\\--\\[\\]-~]{1,255}|"[!#-+\\--\\[\\]-~]{1,255}")$'
const KeyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: KEY_PATTERN,
      description: 'The same key and request again give the same answer for 24 hours, and are done once',
    }),
  ),
})
const ANSWER_CHARACTERS_MAX = 16 * 1024
const IN_FLIGHT_MAX = 10_000
/** Of one operator, so that nobody keeps the others from theirs. */
const IN_FLIGHT_EACH_MAX = 2_000
const KEPT_HEADERS = ['content-type', 'location', 'etag'] as const

type IdempotencyParts = {
  store: IdempotencyStore
  failed: (requestId: string, error: unknown) => void
}

export function honourIdempotencyKeys(api: Api, { store, failed }: IdempotencyParts): void {
  const inFlight = new Set<string>()
  let othersInFlight = 0
  const byHolder = new Map<string, number>()

  function finished(holderId: string): void {
    const left = (byHolder.get(holderId) ?? 1) - 1
    if (left === 0) byHolder.delete(holderId)
    else byHolder.set(holderId, left)
  }

  /** After validation, so that a request that is none does not spend its key. */
  api.addHook('preHandler', async (request, reply) => {
    const keyed = keyedRequest(request)
    if (keyed === null) return
    const name = `${keyed.holderId} ${keyed.keyHash}`
    if (inFlight.has(name)) {
      throw new Problem(
        idempotencyProblems,
        'request_in_flight',
        'a request with this Idempotency-Key is being served',
        {
          retryAfterSeconds: 1,
        },
      )
    }
    const known = store.findKeyed(keyed)
    if (known !== null && known.requestHash !== keyed.requestHash) {
      throw new Problem(
        idempotencyProblems,
        'idempotency_key_reused',
        'this Idempotency-Key stood for another request',
      )
    }
    if (known !== null && known.answer !== null) return replay(reply, known.answer)
    const { urgent = false } = request.routeOptions.config
    if (!urgent && othersInFlight >= IN_FLIGHT_MAX)
      throw new Problem(httpProblems, 'registry_busy', 'too many requests are being served')
    const own = byHolder.get(keyed.holderId) ?? 0
    if (!urgent && own >= IN_FLIGHT_EACH_MAX)
      throw new Problem(httpProblems, 'registry_busy', 'too many requests of yours are being served')
    inFlight.add(name)
    if (!urgent) othersInFlight += 1
    if (!urgent) byHolder.set(keyed.holderId, own + 1)
    request.keyed = { ...keyed, known: known !== null }
    if (known === null || known.change === null) return
    const answer = await request.routeOptions.config.replay!(known.change, request, reply)
    if (answer !== null) return reply.header('idempotency-replayed', 'true').send(answer)
  })

  api.addHook('onSend', async (request, reply, payload) => {
    const { keyed } = request
    if (keyed === null) return payload
    const { urgent = false, secret = false } = request.routeOptions.config
    try {
      const answer = answerOf(reply, payload)
      if (answer !== null && !secret) await store.keepAnswer(keyed, answer, urgent ? 'urgent' : 'normal')
    } catch (error) {
      // The change is on record with its key: the answer can still be recalled.
      failed(request.id, error)
    } finally {
      inFlight.delete(`${keyed.holderId} ${keyed.keyHash}`)
      if (!urgent) othersInFlight -= 1
      if (!urgent) finished(keyed.holderId)
    }
    return payload
  })
}

/** Run on every route as it is added, so that the header is validated, and in the OpenAPI document. */
export function takeIdempotencyKey(route: RouteOptions): void {
  const right = route.config?.right
  if (right === undefined || !takesKey(route.method, right)) return
  if (route.config?.replay === undefined) {
    throw new Error(
      `${route.method} ${route.url} must say in config.replay what to answer where its answer was lost`,
    )
  }
  const { headers } = (route.schema ?? {}) as { headers?: TObject }
  const properties = { ...headers?.properties, ...KeyHeader.properties }
  route.schema = { ...route.schema, headers: Type.Object(properties) }
}

function replay(reply: FastifyReply, { status, headers, body }: KeptAnswer): FastifyReply {
  return reply
    .code(status)
    .headers({ ...headers, 'idempotency-replayed': 'true' })
    .serializer((text: unknown) => text as string)
    .send(body)
}

/** Refusals change nothing and are not kept: the same request may be tried again. */
function answerOf(reply: FastifyReply, payload: unknown): KeptAnswer | null {
  const { statusCode: status } = reply
  if (status < 200 || status >= 300) return null
  if (typeof payload !== 'string' || payload.length > ANSWER_CHARACTERS_MAX) return null
  const headers: Record<string, string> = {}
  for (const name of KEPT_HEADERS) {
    const value = reply.getHeader(name)
    if (value !== undefined) headers[name] = String(value)
  }
  return { status, headers, body: payload }
}

/** Of a caller we know, on a route that changes something: elsewhere the header says nothing. */
function keyedRequest(request: FastifyRequest): KeyedRequest | null {
  const { holder, method, url, headers, body } = request
  const { right } = request.routeOptions.config
  if (holder === null || right === undefined || !takesKey(method, right)) return null
  const header = headers['idempotency-key']
  if (typeof header !== 'string') return null
  const key = header.replaceAll('"', '')
  const asked = [method, url, headers['if-match'] ?? '', JSON.stringify(body ?? null)]
  // What is stored of a key tells nobody the key.
  return { holderId: holder.id, keyHash: hashOf(key), requestHash: hashOf(asked.join('\n')) }
}

/** PUT and DELETE are idempotent by themselves (RFC 9110 §9.2.2); questions change nothing. */
function takesKey(method: string | string[], right: Right): boolean {
  return (method === 'POST' || method === 'PATCH') && 'role' in right && right.role !== 'viewer'
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
