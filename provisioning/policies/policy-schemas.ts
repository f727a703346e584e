// What the policy routes take and give, as TypeBox schemas. The document's own schema is for readers of the OpenAPI
// document: `policy/document.ts` validates documents, because it names all faults at once and knows topic filters.
import Type, { type Static } from 'typebox'
import { actions, SESSION_EXPIRY_MAX_SECONDS, variables } from '../../policy/document.ts'
import { verdicts } from '../../policy/explanation.ts'
import { Name, Nullable, OneOf, paging, receiptFields, strict, Time } from '../http/schemas.ts'

const PolicyName = Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' })
const Fingerprint = Type.String({ pattern: '^[0-9a-f]{64}$' })
const Action = OneOf(actions)
const QoS = Type.Unsafe<0 | 1 | 2>({ type: 'integer', enum: [0, 1, 2] })
const kinds = ['everyone', 'device', 'group', 'issuer'] as const
export const targetKinds = ['device', 'group', 'issuer'] as const

const Statement = Type.Object(
  {
    effect: OneOf(['allow', 'deny'] as const),
    actions: Type.Array(Action, { minItems: 1 }),
    topics: Type.Array(
      Type.String({
        maxLength: 1024,
        description: `An MQTT topic filter; \${NAME} is filled in per connection: ${variables.join(', ')}, device.attr.NAME`,
      }),
      { minItems: 1, maxItems: 100 },
    ),
    when: Type.Optional(Type.Object({ qosMax: Type.Optional(QoS) }, strict)),
  },
  strict,
)
const SessionExpiry = Type.Integer({ minimum: 0, maximum: SESSION_EXPIRY_MAX_SECONDS })
const Limits = Type.Object(
  { qosMax: Type.Optional(QoS), sessionExpiryMaxSeconds: Type.Optional(SessionExpiry) },
  { ...strict, description: 'What no statement of any policy goes beyond; of several policies the least' },
)
export const PolicyDocument = Type.Object(
  {
    name: PolicyName,
    statements: Type.Array(Statement, { maxItems: 100 }),
    limits: Type.Optional(Limits),
  },
  { ...strict, description: 'Nothing is allowed but what a statement allows; a deny wins.' },
)

export const PolicyParams = Type.Object({ name: PolicyName }, strict)
/** `target` is a device ID, the name of a group, or the fingerprint of an issuer. */
export const TargetParams = Type.Object({ name: PolicyName, kind: OneOf(targetKinds), target: Name }, strict)
export const PageQuery = Type.Object(paging, strict)
export const HolderQuery = Type.Object({ certificate: Type.Optional(Fingerprint) }, strict)
export { IfMatch } from '../http/precondition.ts'

export const Attachment = Type.Object({ kind: OneOf(kinds), target: Type.String() })
const policyFields = {
  name: PolicyName,
  version: Type.String({ description: 'The ETag without its quotes' }),
  updatedAt: Time,
  attachments: Type.Array(Attachment, { description: 'The first hundred' }),
  attachmentsTotal: Type.Integer(),
}
export const PolicySummary = Type.Object({ ...policyFields, statementsTotal: Type.Integer() })
export const Policy = Type.Object({ ...policyFields, document: PolicyDocument })
export const PolicyReceipt = Type.Object({
  ...receiptFields,
  name: PolicyName,
  version: Nullable(Type.String()),
})
export const AttachmentReceipt = Type.Object({ ...receiptFields, name: PolicyName, ...Attachment.properties })

const Question = Type.Object(
  { action: Action, topic: Type.String(), qos: Type.Optional(QoS), retain: Type.Optional(Type.Boolean()) },
  strict,
)
const simulation = {
  deviceId: Name,
  certificate: Type.Optional(Fingerprint),
  checks: Type.Array(Question, { minItems: 1, maxItems: 200 }),
}
const trial = {
  attachments: Type.Optional(
    Type.Array(Type.Object({ kind: OneOf(kinds), target: Type.Optional(Name) }, strict), { maxItems: 1_000 }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
}
/** `document` stands for the draft: what is validated leaves it to `policy/`, what is documented does not. */
export const Simulation = Type.Object({ document: Type.Optional(Type.Unknown()), ...simulation }, strict)
export const SimulationDocumented = Type.Object(
  { document: Type.Optional(PolicyDocument), ...simulation },
  strict,
)
export const Trial = Type.Object({ document: Type.Optional(Type.Unknown()), ...trial }, strict)
export const TrialDocumented = Type.Object({ document: Type.Optional(PolicyDocument), ...trial }, strict)

const HeldLimits = Type.Object({
  qosMax: QoS,
  sessionExpiryMaxSeconds: Nullable(Type.Integer({ description: 'Null: as long as a session asks' })),
})
const LimitsNowAndThen = Type.Object(
  { now: HeldLimits, draft: HeldLimits },
  { description: 'The limits of all policies together, today and under the draft' },
)

const decidedBy = Nullable(
  Type.Object({ policy: PolicyName, statement: Type.Integer(), topic: Type.String() }),
)
const Decision = Type.Object({ allowed: Type.Boolean(), verdict: OneOf(verdicts), decidedBy })
export const SimulationResult = Type.Object({
  deviceId: Type.String(),
  certificate: Nullable(Fingerprint),
  holds: Type.Boolean({
    description: 'Whether the policy holds for this device today; it is judged as if it did',
  }),
  limits: LimitsNowAndThen,
  results: Type.Array(
    Type.Object({
      action: Action,
      topic: Type.String(),
      qos: QoS,
      retain: Type.Boolean(),
      now: Decision,
      draft: Decision,
    }),
  ),
})

const Loss = Type.Object({
  action: Action,
  filter: Type.String(),
  extent: OneOf(['all', 'part'] as const),
})
export const TrialResult = Type.Object({
  devicesTotal: Type.Integer({ description: 'Devices for which the policy holds, before or after' }),
  devicesLosing: Type.Integer(),
  devicesGaining: Type.Integer(),
  subscriptionsNoted: Type.Integer({
    description: 'Of live sessions of those devices, as brokers noted them',
  }),
  subscriptionsLost: Type.Integer(),
  nodesTotal: Type.Integer({ description: 'Brokers that run' }),
  items: Type.Array(
    Type.Object({
      deviceId: Type.String(),
      lost: Type.Array(Loss),
      gained: Type.Array(Loss),
      limits: Nullable(LimitsNowAndThen),
      complete: Type.Boolean({
        description:
          'False where more is lost or gained than is listed: an answer names 10,000 filters at most',
      }),
      connected: Type.Boolean({ description: 'Whether a live session of it with subscriptions is noted' }),
      subscriptionsLost: Type.Array(Type.String()),
      subscriptionsComplete: Type.Boolean(),
    }),
  ),
  truncated: Type.Boolean({ description: 'More devices lose something than are listed' }),
})
export type TrialResult = Static<typeof TrialResult>

export const EffectivePolicy = Type.Object({
  deviceId: Type.String(),
  certificate: Nullable(Fingerprint),
  policies: Type.Array(Type.Object({ name: PolicyName, through: Type.Array(Attachment) })),
  variables: Type.Record(Type.String(), Type.String()),
  refused: decidedBy,
  limits: HeldLimits,
  statements: Type.Array(
    Type.Object({
      policy: PolicyName,
      statement: Type.Integer(),
      effect: OneOf(['allow', 'deny'] as const),
      actions: Type.Array(Action),
      qosMax: QoS,
      topics: Type.Array(
        Type.Object({
          written: Type.String(),
          bound: Nullable(Type.String()),
          missing: Type.Array(Type.String()),
        }),
      ),
    }),
  ),
})
