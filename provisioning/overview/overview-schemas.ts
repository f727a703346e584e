// What the overview gives.
import Type from 'typebox'
import { changeKinds } from '../../db/change-kind.ts'
import { certificateStatuses } from '../../db/schema.ts'
import { deviceStates, Nullable, OneOf, Time } from '../http/schemas.ts'
import { Node } from '../nodes/node-schemas.ts'

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
          keyHere: Type.Boolean({ description: 'Of the service that answers' }),
          notAfter: Time,
          devices: Nullable(Type.Integer()),
        }),
      ),
      server: Type.Object({ notAfter: Time, names: Type.Array(Type.String()) }),
    }),
  ),
  nodes: Nullable(Type.Array(Node)),
  receipts: Type.Array(
    Type.Object({
      at: Time,
      epoch: Type.Integer(),
      kind: OneOf(changeKinds),
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
