// What a scenario says of the MQTT version, and what only version 5 has. Types and schema.
import Type, { type Static } from 'typebox'

const closed = { additionalProperties: false }
const optional = Type.Optional
const anyText = (description: string) =>
  Type.String({
    maxLength: 10_000,
    description: `${description}; may hold \${device} \${n} \${group} \${attr.NAME}`,
  })

export const ProtocolName = Type.Enum([3.1, '3.1.1', 5, 3, 4], {
  description: 'of MQTT: 3.1, 3.1.1 (default) or 5; 3 and 4 are the levels of the first two',
})

export const Properties = Type.Object(
  {
    expiry: optional(
      Type.String({
        pattern: '^\\d+(\\.\\d+)?(ms|s|m|h)$',
        description: 'Message Expiry Interval, in whole seconds',
        expected: 'a time such as 5s, 2m or 1h',
      }),
    ),
    utf8: optional(Type.Boolean({ description: 'Payload Format Indicator: the payload is UTF-8 (false)' })),
    contentType: optional(anyText('Content Type')),
    responseTopic: optional(anyText('Response Topic')),
    correlation: optional(anyText('Correlation Data')),
    user: optional(
      Type.Array(Type.Record(Type.String(), Type.String(), { minProperties: 1, maxProperties: 1 }), {
        maxItems: 50,
        description: 'User Properties in their order: - NAME: VALUE; a name may come again',
      }),
    ),
  },
  { ...closed, description: 'protocol 5: properties of each message, which its subscribers must find' },
)
export type RawProperties = Static<typeof Properties>

/** Of a session. */
export const sessionOptions = (time: (description: string) => ReturnType<typeof Type.String>) => ({
  expiry: optional(
    time('protocol 5: how long the session outlives its connection (1h where it is not clean)'),
  ),
  topicAliases: optional(
    Type.Integer({
      minimum: 0,
      maximum: 65_535,
      description: 'protocol 5: topic aliases that a device takes, and uses where the broker takes some (0)',
    }),
  ),
})

/** Of a subscription. */
export const subscriptionOptions = {
  noLocal: optional(
    Type.Boolean({ description: 'protocol 5: not what the device itself published (false)' }),
  ),
  retainAsPublished: optional(
    Type.Boolean({ description: 'protocol 5: the retain flag as published (false)' }),
  ),
  retainHandling: optional(
    Type.Integer({
      minimum: 0,
      maximum: 2,
      description: 'protocol 5: retained messages always (0), for a new subscription (1), never (2)',
    }),
  ),
}
