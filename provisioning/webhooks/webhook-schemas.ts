// What the routes about webhooks take and give. The secret is in one answer alone.
import Type from 'typebox'
import { kinds } from '../../db/events/event-kind.ts'
import { Nullable, OneOf, strict, Time } from '../http/schemas.ts'

const Url = Type.String({ maxLength: 2_048 })
const Kinds = Type.Array(OneOf(kinds), {
  maxItems: kinds.length,
  uniqueItems: true,
  description: 'Of which events to tell; empty for all',
})

export const WebhookParams = Type.Object(
  { webhook: Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' }) },
  strict,
)
export const NewWebhook = Type.Object({ url: Url, kinds: Type.Optional(Kinds) }, strict)
export const WebhookChange = Type.Object(
  { url: Type.Optional(Url), kinds: Type.Optional(Kinds), enabled: Type.Optional(Type.Boolean()) },
  { ...strict, minProperties: 1 },
)

const shown = {
  id: Type.String(),
  url: Type.String(),
  kinds: Kinds,
  state: OneOf(['enabled', 'failing', 'disabled'] as const),
  createdAt: Time,
  createdBy: Type.String(),
  disabledAt: Nullable(Time),
  disabledReason: Nullable(
    Type.String({
      description: 'operator, operator_revoked (of createdBy), gone (it answered 410) or unreachable',
    }),
  ),
  position: Nullable(Type.Integer({ description: 'seq of the last event that needs no sending any more' })),
  deliveredAt: Nullable(Time),
  attemptedAt: Nullable(Time),
  status: Nullable(Type.Integer({ description: 'What the last attempt was answered' })),
  why: Nullable(Type.String({ description: 'What is wrong, where something is' })),
  failures: Type.Integer({ description: 'Attempts in a row that failed' }),
  nextAttemptAt: Nullable(Time),
}
export const Webhook = Type.Object(shown)
export const WebhookWithSecret = Type.Object({ ...shown, secret: Type.String() })
export const Delivery = Type.Object({
  event: Type.Integer({ description: 'seq of the event' }),
  type: Type.String({ description: 'Kind of the event' }),
  deviceId: Nullable(Type.String()),
  delivered: Type.Boolean(),
  status: Nullable(Type.Integer({ description: 'What the last attempt was answered' })),
  why: Nullable(Type.String({ description: 'What is wrong, where something is' })),
  attempts: Type.Integer({ description: 'Since the service started' }),
  attemptedAt: Time,
  milliseconds: Type.Integer({ description: 'How long the last attempt took' }),
  nextAttemptAt: Nullable(Time),
})
export const Resending = Type.Object(
  { event: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) },
  strict,
)
export const Replay = Type.Object({ since: Time }, strict)
export const WebhookTest = Type.Object({
  delivered: Type.Boolean(),
  status: Nullable(Type.Integer()),
  why: Nullable(Type.String()),
  milliseconds: Type.Integer(),
})
