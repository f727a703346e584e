// What the routes of retained messages take and give.
import Type, { type Static } from 'typebox'
import { Name, Nullable, paging, receiptFields, strict, Time } from '../http/schemas.ts'

/** Of a topic in UTF-8 (MQTT 5 §1.5.4). */
const TOPIC_CHARACTERS_MAX = 65_535
export const TOPICS_MAX = 100

const Topic = Type.String({
  ...{ minLength: 1, maxLength: TOPIC_CHARACTERS_MAX, pattern: '^[^+#\\u0000]+$' },
  description: 'A topic, without wildcards',
})

export const RetainedQuery = Type.Object(
  {
    ...paging,
    filter: Type.Optional(
      Type.String({
        ...{ minLength: 1, maxLength: TOPIC_CHARACTERS_MAX },
        description: 'A topic, or a topic filter with + and #',
      }),
    ),
    device: Type.Optional(Name),
    total: Type.Optional(Type.Boolean({ description: 'Count how many fit, too' })),
  },
  strict,
)

export const RetainedMessage = Type.Object({
  topic: Type.String(),
  deviceId: Nullable(Type.String({ description: 'Its publisher; null for the broker' })),
  qos: Type.Integer({ minimum: 0, maximum: 2 }),
  bytes: Type.Integer({ description: 'Of its payload' }),
  retainedAt: Nullable(
    Type.String({
      format: 'date-time',
      description: 'Null where it is not known: of what came from another node or an earlier version',
    }),
  ),
  expiresAt: Nullable(Time),
})
export type RetainedMessage = Static<typeof RetainedMessage>

export const RetainedPage = Type.Object({
  items: Type.Array(RetainedMessage),
  nextCursor: Nullable(Type.String()),
  total: Type.Optional(
    Type.Object({
      count: Type.Integer(),
      exact: Type.Boolean({ description: 'False where there may be more than were counted' }),
    }),
  ),
})

export const Clear = Type.Object(
  { topics: Type.Array(Topic, { minItems: 1, maxItems: TOPICS_MAX, uniqueItems: true }) },
  strict,
)
export const ClearReceipt = Type.Object({ ...receiptFields, topics: Type.Array(Type.String()) })
