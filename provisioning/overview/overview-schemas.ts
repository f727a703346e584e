// What the overview and the list of live sessions give.
import Type from 'typebox'
import { certificateStatuses } from '../../db/schema.ts'
import { deviceStates, Nullable, OneOf, Time } from '../http/schemas.ts'

const counts = <const T extends readonly string[]>(states: T) =>
  Type.Object(
    Object.fromEntries(states.map(state => [state, Type.Integer()])) as Record<
      T[number],
      ReturnType<typeof Type.Integer>
    >,
  )

export const Overview = Type.Object({
  at: Time,
  devices: counts(deviceStates),
  certificates: Type.Object({
    byStatus: counts(certificateStatuses),
    expired: Type.Integer(),
    expiring: Type.Array(Type.Object({ withinSeconds: Type.Integer(), count: Type.Integer() })),
  }),
  connected: Type.Integer(),
  waitingApproval: Type.Integer(),
  perMinute: Nullable(
    Type.Array(
      Type.Object({
        minute: Time,
        connected: Type.Integer(),
        disconnected: Type.Integer(),
        refused: Type.Record(Type.String(), Type.Integer()),
      }),
    ),
  ),
  ca: Nullable(
    Type.Object({
      root: Type.Object({ notAfter: Time }),
      issuers: Type.Array(
        Type.Object({
          id: Type.String(),
          name: Type.String(),
          enabled: Type.Boolean(),
          current: Type.Boolean(),
          notAfter: Time,
          devices: Nullable(Type.Integer()),
        }),
      ),
      server: Type.Object({ notAfter: Time, names: Type.Array(Type.String()) }),
    }),
  ),
  nodes: Nullable(
    Type.Array(
      Type.Object({
        node: Type.String(),
        version: Type.String(),
        startedAt: Time,
        lastSeen: Time,
        epoch: Type.Integer(),
        lagSeconds: Type.Number(),
        sessions: Type.Integer(),
        healthy: Type.Boolean(),
      }),
    ),
  ),
  receipts: Type.Array(
    Type.Object({
      at: Time,
      epoch: Type.Integer(),
      kind: OneOf(['certificate', 'device', 'issuer', 'policy'] as const),
      deviceId: Nullable(Type.String()),
      fingerprint: Nullable(Type.String()),
      issuerId: Nullable(Type.String()),
      nodesTotal: Type.Integer(),
      nodesAcknowledged: Type.Integer(),
      sessionsCut: Type.Integer(),
      milliseconds: Nullable(Type.Integer()),
    }),
  ),
  jobs: Nullable(Type.Object({ running: Type.Integer() })),
})

export const DeviceSession = Type.Object({
  node: Type.String(),
  clientId: Type.String(),
  fingerprint: Type.String(),
  address: Type.String(),
  since: Time,
  protocol: Nullable(OneOf(['3.1', '3.1.1', '5'] as const)),
  transport: Nullable(OneOf(['tls', 'websocket'] as const)),
  tlsVersion: Nullable(Type.String()),
  cipher: Nullable(Type.String()),
  resumed: Nullable(Type.Boolean()),
  keepAliveSeconds: Nullable(Type.Integer()),
  clean: Nullable(Type.Boolean()),
  username: Nullable(Type.String({ description: 'What CONNECT said; never an identity' })),
  subscriptions: Type.Array(Type.String(), { description: 'At most 100' }),
})
