// What was sent to a webhook, and sending it again.
import type { Static } from 'typebox'
import type { RegistryWriter } from '../../db/index.ts'
import type { Webhook, WebhookReader } from '../../db/webhooks/webhook-store.ts'
import { type Api, refusals, secured, time, timeOrNull, timestampOf } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { Delivery } from './delivery-log.ts'
import type { WebhookService } from './index.ts'
import { webhookProblems } from './webhook-problems.ts'
import * as shapes from './webhook-schemas.ts'

/** `found` gives the webhook or throws its problem, `shown` is how it is answered. */
export function deliveryRoutes(
  api: Api,
  parts: {
    store: WebhookReader
    service: WebhookService
    writer: Pick<RegistryWriter, 'noteSentAgain'>
    log: Log
    found: (id: string) => Webhook
    shown: (webhook: Webhook) => Static<typeof shapes.Webhook>
  },
): void {
  const { service, found } = parts
  const about = { tags: ['webhooks'], security: secured, querystring: schemas.NoQuery }

  api.get(
    '/v1/webhooks/:webhook/deliveries',
    {
      schema: {
        ...about,
        summary: 'List what was sent to a webhook',
        description:
          'Since the service started, the last 200 events, each with its last attempt; the latest attempt comes first.',
        params: shapes.WebhookParams,
        querystring: schemas.PageQuery,
        response: { 200: schemas.PageOf(shapes.Delivery), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const after = decodeCursor(cursor, isEventNumber)
      const all = service.deliveries(found(request.params.webhook).id)
      const begin = after === null ? 0 : all.findIndex(({ event }) => String(event) === after) + 1
      const items = all.slice(begin, begin + limit)
      const isLast = begin + limit >= all.length
      return {
        items: items.map(toDelivery),
        nextCursor: isLast ? null : encodeCursor(String(items.at(-1)?.event)),
      }
    },
  )

  api.post(
    '/v1/webhooks/:webhook/deliveries',
    {
      config: { replay: async () => null },
      schema: {
        ...about,
        summary: 'Send an event of the log again, now and once',
        description: 'Under the same webhook-id as before. It is sent whatever kinds the webhook is told.',
        params: shapes.WebhookParams,
        body: shapes.Resending,
        response: { 200: shapes.Delivery, ...refusals },
      },
    },
    async request => {
      const { id, disabledAt } = found(request.params.webhook)
      const { event } = request.body
      if (disabledAt !== null)
        throw new Problem(webhookProblems, 'webhook_disabled', `webhook ${id} is sent nothing`)
      const unknown = () =>
        new Problem(webhookProblems, 'event_unknown', `there is no event ${event} in the log`)
      if (!service.holds(event)) throw unknown()
      await parts.writer.noteSentAgain(id, { event }, actorOf(request))
      const delivery = await service.resend(id, event)
      if (delivery === null) throw unknown()
      return toDelivery({ ...delivery, nextAttemptAt: null })
    },
  )

  api.post(
    '/v1/webhooks/:webhook/replay',
    {
      config: { replay: async ({ target }) => parts.shown(found(target)) },
      schema: {
        ...about,
        summary: 'Send all events since a time again',
        description:
          'Those that it took, too, under the same webhook-id; of its kinds, as far as the log holds them, and up to a minute of earlier ones. A disabled webhook is sent them once it is enabled.',
        params: shapes.WebhookParams,
        body: shapes.Replay,
        response: { 200: shapes.Webhook, ...refusals },
      },
    },
    async request => {
      const { id } = found(request.params.webhook)
      const since = timestampOf('since', request.body.since)
      await parts.writer.noteSentAgain(id, { since }, actorOf(request))
      if (!service.replay(id, since))
        throw new Problem(httpProblems, 'service_busy', 'the new position cannot be kept now')
      parts.log.webhookChanged(callerOf(request), id, 'replayed')
      return parts.shown(found(id))
    },
  )
}

const isEventNumber = (text: string) => /^[1-9]\d{0,15}$/.test(text)

function toDelivery(delivery: Delivery & { nextAttemptAt: number | null }): Static<typeof shapes.Delivery> {
  const { tookMs, attemptedAt, nextAttemptAt, ...facts } = delivery
  return {
    ...facts,
    milliseconds: tookMs,
    attemptedAt: time(attemptedAt),
    nextAttemptAt: timeOrNull(nextAttemptAt),
  }
}
