// What the routes of brokers take and give.
import Type, { type Static } from 'typebox'
import { Nullable, OneOf, strict, Time } from '../http/schemas.ts'

const OVER_SECONDS_MAX = 86_400
export const OVER_SECONDS_DEFAULT = 60

export const Node = Type.Object({
  node: Type.String(),
  version: Type.String(),
  startedAt: Time,
  lastSeen: Time,
  epoch: Type.Integer(),
  lagSeconds: Type.Number(),
  sessions: Type.Integer({ description: 'That are connected, as the broker last said' }),
  healthy: Type.Boolean(),
  unhealthySince: Nullable(
    Type.String({
      format: 'date-time',
      description: 'When it was last seen, or the oldest change that it has not acted on',
    }),
  ),
  drain: Nullable(
    Type.Object({
      state: OneOf(['draining', 'drained'] as const),
      since: Time,
      overSeconds: Type.Integer(),
      moved: Type.Boolean({ description: 'Clients are told to go elsewhere for good' }),
      serverReference: Nullable(Type.String({ description: 'Where clients of MQTT 5 are told to go' })),
    }),
  ),
  replica: Nullable(
    Type.Object({
      sequence: Type.Integer(),
      behind: Type.Integer({ description: 'Groups of changes since the broker last reported' }),
      ageSeconds: Type.Number({ description: 'For how long PostgreSQL was not heard then' }),
    }),
  ),
  busConnected: Nullable(Type.Boolean()),
})
export type Node = Static<typeof Node>

export const NodeParams = Type.Object(
  { node: Type.String({ pattern: '^[A-Za-z0-9._:-]{1,253}$', description: 'The name of the broker' }) },
  strict,
)

export const Drain = Nullable(
  Type.Object(
    {
      overSeconds: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: OVER_SECONDS_MAX,
          default: OVER_SECONDS_DEFAULT,
          description: 'Over how long its sessions end',
        }),
      ),
      serverReference: Type.Optional(
        Type.String({
          maxLength: 4_096,
          description:
            'Where clients of MQTT 5 are told to go: host or host:port, up to 16 with a blank between them',
        }),
      ),
      moved: Type.Optional(
        Type.Boolean({ description: '0x9D (server moved) in place of 0x9C (use another server)' }),
      ),
    },
    strict,
  ),
)
export const NodeChange = Type.Object({
  name: Type.String(),
  node: Nullable(Node),
  changed: Type.Boolean({ description: 'False where it was so before' }),
})
