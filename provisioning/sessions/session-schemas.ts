// What the routes of sessions take and give.
import Type, { type Static } from 'typebox'
import { Name, Nullable, OneOf, paging, receiptFields, strict, Time } from '../http/schemas.ts'

const protocols = ['3.1', '3.1.1', '5'] as const

export const DeviceSession = Type.Object({
  node: Type.String(),
  clientId: Type.String(),
  fingerprint: Type.String(),
  address: Type.String(),
  since: Time,
  protocol: Nullable(OneOf(protocols)),
  transport: Nullable(OneOf(['tls', 'websocket'] as const)),
  tlsVersion: Nullable(Type.String()),
  cipher: Nullable(Type.String()),
  resumed: Nullable(Type.Boolean()),
  keepAliveSeconds: Nullable(Type.Integer()),
  clean: Nullable(Type.Boolean()),
  username: Nullable(Type.String({ description: 'What CONNECT said; never an identity' })),
  subscriptions: Type.Array(Type.String(), { description: 'At most 100' }),
})

/** By what sessions are sorted: fields of a device that an index has. */
const sessionSorts = ['deviceId', 'connectedAt', 'lastSeen', 'messagesWaiting'] as const

export const SessionQuery = Type.Object(
  {
    ...paging,
    connected: Type.Optional(Type.Boolean({ description: 'Whether its device is connected now' })),
    kept: Type.Optional(Type.Literal(true, { description: 'Those that outlive their connection' })),
    group: Type.Optional(Name),
    prefix: Type.Optional(
      Type.String({ pattern: '^[A-Za-z0-9._-]{1,128}$', description: 'Of the device ID' }),
    ),
    sort: Type.Optional(
      Type.Unsafe<string>({
        ...{ type: 'string', enum: sessionSorts.flatMap(by => [by, `-${by}`]), default: 'deviceId' },
        description: 'Ascending, or descending with - before it',
      }),
    ),
    total: Type.Optional(Type.Boolean({ description: 'Count how many fit, too' })),
  },
  strict,
)

export const Session = Type.Object({
  deviceId: Type.String(),
  connected: Type.Boolean({ description: 'As brokers noted it within the last seconds' }),
  kept: Type.Boolean({ description: 'It outlives its connection' }),
  messagesWaiting: Type.Integer(),
  connectedAt: Nullable(Time),
  disconnectedAt: Nullable(Type.String({ format: 'date-time', description: 'Null while it is connected' })),
  address: Nullable(Type.String({ description: 'Of the last connection' })),
  protocol: Nullable(OneOf(protocols)),
  node: Nullable(Type.String({ description: 'The broker that has its connection' })),
})
export type Session = Static<typeof Session>

export const SessionPage = Type.Object({
  items: Type.Array(Session),
  nextCursor: Nullable(Type.String()),
  total: Type.Optional(
    Type.Object({
      count: Type.Integer(),
      exact: Type.Boolean({ description: 'False where there may be more than were counted' }),
    }),
  ),
})

export const Kick = Nullable(
  Type.Object(
    { clear: Type.Optional(Type.Boolean({ description: 'Delete what is stored of the session, too' })) },
    strict,
  ),
)
export const KickReceipt = Type.Object({
  ...receiptFields,
  deviceId: Type.String(),
  cleared: Type.Boolean({ description: 'Whether the stored session was to be deleted, too' }),
})
