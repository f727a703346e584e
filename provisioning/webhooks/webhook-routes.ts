// Webhooks: where events are sent, how that goes, and a try. The secret is shown when one is made, and never again.

import type { Static } from 'typebox'
import type { RegistryWriter } from '../../db/index.ts'
import type { Webhook, WebhookReader } from '../../db/webhooks/webhook-store.ts'
import type { EventService } from '../events/index.ts'
import { type Api, refusals, secured, time, timeOrNull } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { idempotencyProblems } from '../http/idempotency-problems.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import { OutboundFault } from '../outbound/address-guard.ts'
import { deliveryRoutes } from './delivery-routes.ts'
import type { WebhookService } from './index.ts'
import { webhookProblems } from './webhook-problems.ts'
import * as shapes from './webhook-schemas.ts'

type WebhookServices = {
  writer: RegistryWriter
  events: Pick<EventService, 'reader' | 'streams'>
  webhooks: { store: WebhookReader; service: WebhookService }
  log: Log
}

const isId = (text: string) => /^[0-9a-f-]{36}$/.test(text)

export function webhookRoutes(api: Api, { writer, webhooks, events, log }: WebhookServices): void {
  const { store, service } = webhooks
  const about = { tags: ['webhooks'], security: secured, querystring: schemas.NoQuery }

  function found(id: string): Webhook {
    const webhook = store.webhook(id)
    if (webhook === null) throw new Problem(webhookProblems, 'webhook_unknown', `there is no webhook ${id}`)
    return webhook
  }

  function validated(url: string): string {
    try {
      return service.validate(url)
    } catch (error) {
      if (!(error instanceof OutboundFault)) throw error
      throw new Problem(webhookProblems, 'webhook_url_refused', error.message)
    }
  }

  function shown(webhook: Webhook): Static<typeof shapes.Webhook> {
    const { fromSeq: _, createdAt, disabledAt, ...facts } = webhook
    const deliveryStatus = service.deliveryStatus(webhook.id)
    const failing = (deliveryStatus?.failures ?? 0) > 0 || deliveryStatus?.failingSince != null
    return {
      ...facts,
      state: disabledAt !== null ? 'disabled' : failing ? 'failing' : 'enabled',
      createdAt: time(createdAt),
      disabledAt: timeOrNull(disabledAt),
      position: deliveryStatus?.position ?? null,
      deliveredAt: timeOrNull(deliveryStatus?.deliveredAt ?? null),
      attemptedAt: timeOrNull(deliveryStatus?.attemptedAt ?? null),
      status: deliveryStatus?.status ?? null,
      why: deliveryStatus?.why ?? null,
      failures: deliveryStatus?.failures ?? 0,
      nextAttemptAt: timeOrNull(deliveryStatus?.nextAttemptAt ?? null),
    }
  }

  api.post(
    '/v1/webhooks',
    {
      config: {
        secret: true,
        replay: async ({ target }) => {
          throw new Problem(
            idempotencyProblems,
            'answer_lost',
            `webhook ${target} was made and its secret is shown once: remove it, make another`,
          )
        },
      },
      schema: {
        ...about,
        summary: 'Send events to a URL; the answer is the only place that shows the secret',
        description:
          'From the next event on, each at least once, signed as Standard Webhooks has it. https alone, and public addresses alone, where nothing else was allowed.',
        body: shapes.NewWebhook,
        response: { 201: shapes.WebhookWithSecret, ...refusals },
      },
    },
    async (request, reply) => {
      const { kinds = [] } = request.body
      const fromSeq = events.reader.latestSeq()
      const made = await writer.addWebhook(
        { url: validated(request.body.url), kinds, fromSeq },
        actorOf(request),
      )
      log.webhookChanged(callerOf(request), made.id, 'added')
      service.look()
      return reply.code(201).send({ ...shown(found(made.id)), secret: made.secret })
    },
  )

  api.get(
    '/v1/webhooks',
    {
      schema: {
        ...about,
        summary: 'List webhooks and how each stands',
        querystring: schemas.PageQuery,
        response: { 200: schemas.PageOf(shapes.Webhook), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const { items, next } = store.webhooks(decodeCursor(cursor, isId), limit)
      return { items: items.map(shown), nextCursor: encodeCursor(next) }
    },
  )

  api.get(
    '/v1/webhooks/:webhook',
    {
      schema: {
        ...about,
        summary: 'Read a webhook and how it stands',
        params: shapes.WebhookParams,
        response: { 200: shapes.Webhook, ...refusals },
      },
    },
    async request => shown(found(request.params.webhook)),
  )

  api.patch(
    '/v1/webhooks/:webhook',
    {
      config: { replay: async done => shown(found(done.target)) },
      schema: {
        ...about,
        summary: 'Send it elsewhere, tell it of other kinds, disable or enable it',
        description: 'One that is enabled again is told what it missed, as far as the log still holds it.',
        params: shapes.WebhookParams,
        body: shapes.WebhookChange,
        response: { 200: shapes.Webhook, ...refusals },
      },
    },
    async request => {
      const { webhook: id } = request.params
      const { url, ...change } = request.body
      const wanted = { ...change, ...(url === undefined ? {} : { url: validated(url) }) }
      await writer.changeWebhook(id, wanted, actorOf(request))
      log.webhookChanged(callerOf(request), id, 'changed')
      service.look()
      return shown(found(id))
    },
  )

  api.delete(
    '/v1/webhooks/:webhook',
    {
      schema: {
        ...about,
        summary: 'Send it nothing more',
        params: shapes.WebhookParams,
        body: schemas.NoBody,
        response: { 204: schemas.NoBody, ...refusals },
      },
    },
    async (request, reply) => {
      const { webhook: id } = request.params
      await writer.removeWebhook(id, actorOf(request))
      log.webhookChanged(callerOf(request), id, 'removed')
      service.look()
      return reply.code(204).send(null)
    },
  )

  api.post(
    '/v1/webhooks/:webhook/test',
    {
      config: { replay: async () => null },
      schema: {
        ...about,
        summary: 'Send a message that says it is a test, now and once',
        params: shapes.WebhookParams,
        body: schemas.NoBody,
        response: { 200: shapes.WebhookTest, ...refusals },
      },
    },
    async request => {
      const { tookMs, ...outcome } = await service.test(found(request.params.webhook))
      return { ...outcome, milliseconds: tookMs }
    },
  )

  deliveryRoutes(api, { store, service, writer, log, found, shown })
}
