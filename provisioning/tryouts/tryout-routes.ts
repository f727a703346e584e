// Tryouts: an operator publishes, or is shown messages, by the rights of a device. By way of the broker, on record before it is done, and
// bounded in time, number and size. Never a session of the device, for none that would not be admitted, and for no caller that may not certify it:
// that would be to use rights that the caller may not hand on.
import { isUtf8 } from 'node:buffer'
import type { FastifyRequest } from 'fastify'
import type { RegistryWriter } from '../../db/index.ts'
import type { PolicyReader } from '../../db/policies/policy-reader.ts'
import type { Explainer } from '../explain/explain.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { idempotencyProblems } from '../http/idempotency-problems.ts'
import { Problem } from '../http/problem.ts'
import { DeviceParams, NoQuery } from '../http/schemas.ts'
import { type Authentication, actorOf } from '../operators/authentication.ts'
import type { AuthorizationScope } from '../operators/authorization-scope.ts'
import { AnswerLost, type BrokerLink, type Principal, type Tried } from './broker-link.ts'
import { createTryoutLimits } from './tryout-limits.ts'
import { tryoutProblems } from './tryout-problems.ts'
import * as shapes from './tryout-schemas.ts'

export type TryoutServices = {
  authorizationScope: Pick<AuthorizationScope, 'assertDevice' | 'assertMayCertify'>
  brokerLink: BrokerLink
  explainer: Explainer
  policies: Pick<PolicyReader, 'holder'>
  writer: Pick<RegistryWriter, 'noteTryout'>
  now: () => number
}

const CHECK_MS = 1_000
const NO_BROKER = 'no broker answers in the data directory of this service: nothing was done'
const MAYBE_PUBLISHED = 'the message may have been published'

export function tryoutRoutes(
  api: Api,
  { authorizationScope, brokerLink, explainer, policies, writer, now }: TryoutServices,
  { isStillIn }: Pick<Authentication, 'isStillIn'>,
): void {
  const about = { tags: ['tryouts'], security: secured, params: DeviceParams, querystring: NoQuery }
  const limits = createTryoutLimits(now)

  /** By this certificate where one is named. Throws `device_not_admitted`, `group_forbidden` or `device_unknown`. */
  async function principalOf(
    request: FastifyRequest,
    deviceId: string,
    by?: string,
  ): Promise<{ principal: Principal; fingerprint: string }> {
    await authorizationScope.assertDevice(request, deviceId)
    authorizationScope.assertMayCertify(request, deviceId)
    const { wouldBeAdmitted, reason, certificates = [] } = await explainer.device(deviceId)
    const fingerprint = certificates.find(
      each => each.wouldBeAdmitted && (by === undefined || each.fingerprint === by),
    )?.fingerprint
    const held = wouldBeAdmitted && fingerprint ? policies.holder(deviceId, fingerprint)?.certificate : null
    if (held == null || fingerprint === undefined)
      throw new Problem(
        tryoutProblems,
        'device_not_admitted',
        `${deviceId}: ${reason ?? 'it has no certificate'}`,
      )
    const { issuerId, serialNumber } = held
    return { principal: { deviceId, issuerId, serialNumber }, fingerprint }
  }

  api.post(
    '/v1/devices/:id/try/publish',
    {
      config: {
        // It may have been published, and is not published twice.
        replay: async () => {
          throw new Problem(idempotencyProblems, 'answer_lost', MAYBE_PUBLISHED)
        },
      },
      schema: {
        ...about,
        summary: 'Publish a message as the rights of the device allow',
        description:
          'Not retained, with the operator in the user property rollcall-tried-by, and on record. At most 30 a minute for one caller.',
        body: shapes.TryPublish,
        response: { 200: shapes.TriedPublish, ...refusals },
      },
    },
    async request => {
      const { id } = request.params
      const { topic, qos = 1, payload: text, payloadBase64 } = request.body
      if (text !== undefined && payloadBase64 !== undefined)
        throw new Problem(httpProblems, 'request_invalid', 'payload and payloadBase64 do not go together')
      const payload =
        payloadBase64 === undefined ? Buffer.from(text ?? '') : Buffer.from(payloadBase64, 'base64')
      if (payload.length > shapes.PAYLOAD_BYTES_MAX)
        throw new Problem(httpProblems, 'request_invalid', 'the payload is larger than 32 KiB')
      limits.published(request.holder!.id)
      const { principal } = await principalOf(request, id)
      const actor = actorOf(request)
      const order = { principal, by: actor.name, topic, payload, qos: qos as 0 | 1 | 2 }
      await writer.noteTryout(id, { publish: topic, qos, bytes: payload.length }, actor)
      const answer = await brokerLink.publish(order).catch(notDone)
      if ('refused' in answer) throw refusalOf(answer.refused, id, `publish to ${topic}`)
      return { deviceId: id, topic, receivers: answer.receivers }
    },
  )

  api.post(
    '/v1/devices/:id/try/subscribe',
    {
      config: { replay: async () => null },
      schema: {
        ...about,
        summary: 'Show the messages that the device would be sent by a subscription',
        description:
          'Answers when the time is over or so many came; those that are retained come first. It is no session: nothing waits for it. On record. Two at once for one caller.',
        body: shapes.TrySubscribe,
        response: { 200: shapes.TriedSubscribe, ...refusals },
      },
    },
    async request => {
      const { id } = request.params
      const { filter, seconds = 10, messages: wanted = shapes.MESSAGES_MAX } = request.body
      using _ = limits.listens(request.holder!.id)
      const { principal, fingerprint } = await principalOf(request, id)
      await writer.noteTryout(id, { subscribe: filter, seconds }, actorOf(request))
      const over = new AbortController()
      let ended: 'time' | 'messages' | 'right_ended' | 'broker_ended' = 'broker_ended'
      const end = (why: typeof ended) => {
        if (over.signal.aborted) return
        ended = why
        over.abort()
      }
      const timer = setTimeout(end, seconds * 1_000, 'time')
      const check = setInterval(() => {
        if (request.raw.socket.destroyed) return end('time')
        if (!isStillIn(request)) return end('right_ended')
        principalOf(request, id, fingerprint).catch(() => end('right_ended'))
      }, CHECK_MS)
      const messages: shapes.TriedMessage[] = []
      try {
        const order = {
          ...{ principal, filter, messagesMax: wanted, signal: over.signal },
          payloadBytesMax: shapes.SHOWN_BYTES_MAX,
        }
        for await (const answer of brokerLink.subscribe(order)) {
          if ('refused' in answer) {
            if (messages.length === 0) throw refusalOf(answer.refused, id, `subscribe to ${filter}`)
            end('right_ended')
            break
          }
          messages.push(toMessage(answer))
          if (messages.length >= wanted) end('messages')
          if (over.signal.aborted) break
        }
      } catch (error) {
        if (error instanceof Problem) throw error
        if (!over.signal.aborted) unreachable(error)
      } finally {
        clearTimeout(timer)
        clearInterval(check)
        over.abort()
      }
      return { deviceId: id, filter, messages, ended }
    },
  )
}

function unreachable(cause: unknown): never {
  throw new Problem(tryoutProblems, 'broker_unreachable', NO_BROKER, { cause })
}

function notDone(error: unknown): never {
  if (!(error instanceof AnswerLost)) unreachable(error)
  throw new Problem(idempotencyProblems, 'answer_lost', MAYBE_PUBLISHED, { cause: error })
}

function refusalOf(refused: 'denied' | 'invalid' | 'unavailable', id: string, doing: string): Problem {
  if (refused === 'denied') return new Problem(tryoutProblems, 'tryout_denied', `${id} may not ${doing}`)
  if (refused === 'invalid')
    return new Problem(
      httpProblems,
      'request_invalid',
      `no client can ${doing}: look at its levels and its length`,
    )
  return new Problem(httpProblems, 'registry_unavailable', 'the broker cannot read the policies now')
}

function toMessage({ topic, qos, isRetained, bytes, payload: payloadBase64 }: Tried): shapes.TriedMessage {
  const shown = Buffer.from(payloadBase64, 'base64')
  const payload = isUtf8(shown) ? shown.toString() : null
  return { topic, qos, retained: isRetained, bytes, payload, payloadBase64 }
}
