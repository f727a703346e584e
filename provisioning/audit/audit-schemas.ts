// What the audit routes take and give. A row is shown as it was hashed, so that a reader can hash it again.
import Type, { type Static } from 'typebox'
import { type ActorKind, actorKinds } from '../../db/audit-chain.ts'

const strict = { additionalProperties: false }
const Text = Type.String({ minLength: 1, maxLength: 256 })
const Time = Type.String({ format: 'date-time', maxLength: 40 })
const Hash = Type.String({ pattern: '^[0-9a-f]{64}$' })
const Kind = Type.Unsafe<ActorKind>({ type: 'string', enum: [...actorKinds] })
const NullableText = Type.Union([Type.String(), Type.Null()])

export const AuditQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100 })),
    cursor: Type.Optional(Type.String({ maxLength: 512 })),
    actor: Type.Optional(Text),
    actorKind: Type.Optional(Kind),
    by: Type.Optional(
      Type.Unsafe<'people' | 'machines'>({
        ...{ type: 'string', enum: ['people', 'machines'] },
        description:
          'people: by API token, operator certificate or local command; machines: devices, enrollments, the service',
      }),
    ),
    action: Type.Optional(
      Type.String({
        pattern: '^[a-z]+\\.([a-z]+|\\*)$',
        maxLength: 64,
        description: 'device.add, or device.*',
      }),
    ),
    target: Type.Optional(Text),
    since: Type.Optional(Time),
    until: Type.Optional(Time),
    after: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Only rows with a number above this one: for following the log',
      }),
    ),
    order: Type.Optional(
      Type.Unsafe<'newest' | 'oldest'>({ type: 'string', enum: ['newest', 'oldest'], default: 'newest' }),
    ),
  },
  strict,
)

export const AuditRow = Type.Object({
  seq: Type.Integer(),
  ts: Type.String({ format: 'date-time' }),
  actor: Type.String(),
  actorKind: Type.Union([Kind, Type.Null()], {
    description: 'What kind of caller the actor is; null in rows of a version that kept no kinds',
  }),
  action: Type.String(),
  target: Type.String(),
  outcome: Type.String(),
  reason: NullableText,
  requestId: NullableText,
  detail: Type.Record(Type.String(), Type.Unknown()),
  prevHash: Hash,
  hash: Hash,
})
export type AuditRow = Static<typeof AuditRow>

export const AuditVerification = Type.Object({
  outcome: Type.Unsafe<'intact' | 'tampered'>({ type: 'string', enum: ['intact', 'tampered'] }),
  rows: Type.Integer(),
  lastSeq: Type.Integer(),
  lastHash: Hash,
  checkpoints: Type.Integer(),
  sealedThrough: Type.Integer(),
  unsealedRows: Type.Integer(),
  unsealedSince: Type.Union([Time, Type.Null()]),
  fault: Type.Union([
    Type.Object({
      kind: Type.Unsafe<'changed' | 'removed' | 'reordered' | 'appended' | 'checkpoint'>({
        type: 'string',
        enum: ['changed', 'removed', 'reordered', 'appended', 'checkpoint'],
      }),
      seq: Type.Integer(),
      through: Type.Integer(),
      message: Type.String(),
    }),
    Type.Null(),
  ]),
})
