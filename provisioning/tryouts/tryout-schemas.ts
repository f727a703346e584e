// What the routes of tryouts take and give.
import Type, { type Static } from 'typebox'
import { Nullable, OneOf, strict } from '../http/schemas.ts'

export const PAYLOAD_BYTES_MAX = 32_768
/** Of a message that is shown. */
export const SHOWN_BYTES_MAX = 4_096
export const SECONDS_MAX = 60
export const MESSAGES_MAX = 100
/** Base64 takes four characters for three bytes. */
const BASE64_CHARACTERS_MAX = Math.ceil(PAYLOAD_BYTES_MAX / 3) * 4

const Topic = Type.String({ minLength: 1, maxLength: 65_535 })

export const TryPublish = Type.Object(
  {
    topic: Topic,
    qos: Type.Optional(Type.Integer({ minimum: 0, maximum: 2, default: 1 })),
    payload: Type.Optional(
      Type.String({ maxLength: PAYLOAD_BYTES_MAX, description: 'As text, 32 KiB at most' }),
    ),
    payloadBase64: Type.Optional(
      Type.String({
        ...{ maxLength: BASE64_CHARACTERS_MAX, pattern: '^[A-Za-z0-9+/]*={0,2}$' },
        description: 'In place of payload',
      }),
    ),
  },
  strict,
)
export const TriedPublish = Type.Object({
  deviceId: Type.String(),
  topic: Type.String(),
  receivers: Type.Integer({ description: 'Sessions at this broker that it went to' }),
})

export const TrySubscribe = Type.Object(
  {
    filter: Topic,
    seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: SECONDS_MAX, default: 10 })),
    messages: Type.Optional(Type.Integer({ minimum: 1, maximum: MESSAGES_MAX, default: MESSAGES_MAX })),
  },
  strict,
)
const TriedMessage = Type.Object({
  topic: Type.String(),
  qos: Type.Integer(),
  retained: Type.Boolean({ description: 'It was there before' }),
  bytes: Type.Integer({ description: 'Of its payload' }),
  payload: Nullable(Type.String({ description: 'Null where it is no UTF-8' })),
  payloadBase64: Type.String({ description: 'The first 4 KiB' }),
})
export type TriedMessage = Static<typeof TriedMessage>
export const TriedSubscribe = Type.Object({
  deviceId: Type.String(),
  filter: Type.String(),
  messages: Type.Array(TriedMessage),
  ended: OneOf(['time', 'messages', 'right_ended', 'broker_ended'] as const),
})
