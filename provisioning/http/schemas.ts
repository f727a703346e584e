// What the API takes and gives, as TypeBox schemas: they validate, they type the handlers, they are the OpenAPI document.
// Bodies refuse unknown fields; nothing is converted in them.
import Type, { type Static, type TSchema } from 'typebox'
import { reasonCodes } from '../../db/reason.ts'
import { endings } from '../../db/roll/last-seen.ts'
import { certificateStatuses } from '../../db/schema.ts'
import { CSR_CHARACTERS_MAX } from '../../pki/pem.ts'
import { revocationReasons } from '../../pki/revocation-reason.ts'

export const strict = { additionalProperties: false }
export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
export const OneOf = <const T extends readonly string[]>(values: T) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values] })

const inherited = Object.getOwnPropertyNames(Object.prototype).join('|')
/** The rule of `pki/device-id.ts` as a pattern, so that the OpenAPI document tells it too. */
export const NAME_PATTERN = `^(?!\\.{1,2}$)(?!(?:${inherited})$)[A-Za-z0-9._-]{1,128}$`
export const Name = Type.String({ pattern: NAME_PATTERN })
/** RFC 3339 in UTC with milliseconds. */
export const Time = Type.String({ format: 'date-time' })
const Fingerprint = Type.String({ pattern: '^[0-9a-f]{64}$' })
export const Pem = Type.String({ maxLength: CSR_CHARACTERS_MAX })

const Attributes = Type.Record(
  Name,
  // Printable: what is kept here shows up in policies, pages and logs.
  Type.String({ maxLength: 1024, pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$' }),
  { ...strict, maxProperties: 50 },
)
const Groups = Type.Array(Name, { maxItems: 100, uniqueItems: true })

export const deviceStates = ['registered', 'active', 'suspended', 'decommissioned'] as const
const trusts = ['chained', 'pinned'] as const

export const DeviceParams = Type.Object({ id: Name }, strict)
export const CertificateParams = Type.Object({ fingerprint: Fingerprint }, strict)

export const paging = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100 })),
  cursor: Type.Optional(Type.String({ maxLength: 512 })),
}
export const CertificateQuery = Type.Object(
  { ...paging, deviceId: Type.Optional(Name), status: Type.Optional(OneOf(certificateStatuses)) },
  strict,
)
export const PageQuery = Type.Object(paging, strict)
export const NoQuery = Type.Object({}, strict)

export const NewDevice = Type.Object(
  { id: Name, attributes: Type.Optional(Attributes), groups: Type.Optional(Groups) },
  strict,
)
export const DeviceChange = Type.Object(
  { attributes: Type.Optional(Attributes), groups: Type.Optional(Groups) },
  { ...strict, minProperties: 1 },
)
export const NewCertificate = Type.Union([
  Type.Object(
    {
      csr: Pem,
      days: Type.Optional(Type.Integer({ minimum: 1, maximum: 825 })),
      reason: Type.Optional(Type.Literal('keyCompromise')),
    },
    strict,
  ),
  Type.Object({ certificate: Pem, trust: Type.Optional(OneOf(trusts)) }, strict),
])
export const NewCanary = Type.Object({ csr: Pem, kind: OneOf(['unlisted', 'expired'] as const) }, strict)
export const Revocation = Nullable(Type.Object({ reason: Type.Optional(OneOf(revocationReasons)) }, strict))
export const NoBody = Nullable(Type.Object({}, strict))
export const AdmissionQuestion = Type.Object({ certificate: Pem }, strict)

const LastSeen = Type.Object({
  connectedAt: Time,
  disconnectedAt: Nullable(Type.String({ format: 'date-time', description: 'Null while it is connected' })),
  reason: Nullable(
    Type.String({
      description: `How the last connection that has ended did: a reason code, or one of ${endings.join(', ')}`,
    }),
  ),
  address: Nullable(Type.String()),
  fingerprint: Nullable(Type.String()),
  protocol: Nullable(Type.String()),
  sessionKept: Type.Boolean({ description: 'Its session outlives the connection' }),
  messagesWaiting: Type.Integer(),
  bytesIn: Type.Integer({ description: 'From the device, over all its connections' }),
  bytesOut: Type.Integer(),
})

export const Device = Type.Object({
  id: Type.String(),
  state: OneOf(deviceStates),
  attributes: Type.Record(Type.String(), Type.String()),
  groups: Type.Array(Type.String()),
  connected: Type.Boolean({ description: 'As brokers noted it within the last seconds' }),
  lastSeen: Nullable(LastSeen),
  certificate: Nullable(
    Type.Object(
      { status: OneOf(certificateStatuses), notAfter: Time },
      { description: 'The newest that admits, or else the newest' },
    ),
  ),
  createdAt: Time,
  updatedAt: Time,
  version: Type.String({ description: 'The ETag without its quotes' }),
})
export type Device = Static<typeof Device>

const certificateFields = {
  fingerprint: Fingerprint,
  deviceId: Type.String(),
  status: OneOf(certificateStatuses),
  revocationReason: Nullable(Type.String()),
  trust: OneOf(trusts),
  issuerId: Nullable(Type.String()),
  serialNumber: Type.String(),
  subject: Type.String(),
  keyType: Type.String(),
  spkiHash: Type.String(),
  notBefore: Time,
  notAfter: Time,
  graceUntil: Nullable(Time),
  issuedAt: Time,
  firstUsedAt: Nullable(Time),
  revokedAt: Nullable(Time),
}
const pems = { certificate: Type.String(), chain: Type.Array(Type.String()), ca: Nullable(Type.String()) }
export const Certificate = Type.Object(certificateFields)
export type Certificate = Static<typeof Certificate>
export const CertificateWithPem = Type.Object({ ...certificateFields, ...pems })
export type CertificateWithPem = Static<typeof CertificateWithPem>
export const Canary = Type.Object({
  kind: OneOf(['unlisted', 'expired'] as const),
  fingerprint: Fingerprint,
  ...pems,
})

export const receiptFields = {
  epoch: Type.Integer(),
  nodesTotal: Type.Integer(),
  nodesAcknowledged: Type.Integer(),
  sessionsCut: Type.Integer(),
  unreachable: Type.Array(Type.String()),
  /** From then on no unreachable broker can have a session that the change ended; null where that cannot be said. */
  noSessionAfter: Type.Optional(Nullable(Time)),
}
export const DeviceReceipt = Type.Object({
  ...receiptFields,
  deviceId: Type.String(),
  state: OneOf(deviceStates),
})
/** What admits the device of a certificate that was moved, all the same. */
const StillAdmissible = Type.Object({
  fingerprint: Fingerprint,
  deviceId: Type.String(),
  status: OneOf(certificateStatuses),
  notAfter: Time,
  graceUntil: Nullable(Time),
})
const certificateReceipt = {
  ...receiptFields,
  fingerprint: Fingerprint,
  status: OneOf(certificateStatuses),
  stillAdmitting: Type.Array(StillAdmissible),
}
export const CertificateReceipt = Type.Object(certificateReceipt)
/** `revoked` names them all: for keyCompromise those of the same key, and those that were obtained with it. */
export const RevocationReceipt = Type.Object({
  ...certificateReceipt,
  revoked: Type.Array(
    Type.Object({
      fingerprint: Fingerprint,
      deviceId: Type.String(),
      because: OneOf(['named', 'key', 'lineage'] as const),
    }),
  ),
})

export const PageOf = <T extends TSchema>(item: T) =>
  Type.Object({ items: Type.Array(item), nextCursor: Nullable(Type.String()) })

const reason = Nullable(OneOf(reasonCodes))
const Check = Type.Object({
  name: Type.String(),
  outcome: OneOf(['passed', 'failed', 'skipped'] as const),
  reason,
  inputs: Type.Record(Type.String(), Type.Unknown()),
})
const verdict = { wouldBeAdmitted: Type.Boolean(), reason, checks: Type.Array(Check) }
const Answers = {
  mqtt5: Nullable(Type.String({ description: 'Reason Code, such as 0x8a; null for no packet' })),
  mqtt311: Nullable(Type.Integer({ description: 'Return code of CONNACK; null for none' })),
}
const Denial = Type.Object({
  at: Time,
  firstAt: Time,
  action: OneOf(['publish', 'subscribe', 'will'] as const),
  topic: Type.String(),
  qos: Type.Integer(),
  retain: Type.Boolean(),
  verdict: Nullable(Type.String()),
  decidedBy: Nullable(
    Type.Object({ policy: Type.String(), statement: Type.Integer(), topic: Type.String() }),
  ),
  address: Type.String(),
  fingerprint: Type.String(),
  count: Type.Integer(),
})
const Text = Nullable(Type.String())
const Attestation = Type.Object({
  attested: Type.Boolean(),
  endorsementKey: Type.String(),
  ...{ vouchedBy: Text, maker: Text, model: Text, version: Text },
  keyAttributes: Type.Array(Type.String()),
  provenAt: Time,
})
export const Explanation = Type.Object({
  subject: Type.Object({ kind: OneOf(['device', 'certificate'] as const), id: Type.String() }),
  ...verdict,
  message: Type.String(),
  hint: Nullable(Type.String()),
  /** What its client is told now. */
  answer: Nullable(Type.Object(Answers)),
  /** What a TPM proved of the certificate's key; absent where none did. */
  attestation: Type.Optional(Attestation),
  certificates: Type.Optional(Type.Array(Type.Object({ fingerprint: Fingerprint, ...verdict }))),
  /** For a stranger: the device whose ID is nearest to a name in its certificate, and how many edits apart. */
  nearestDevice: Type.Optional(
    Type.Object({
      id: Type.String(),
      state: OneOf(deviceStates),
      name: Type.String(),
      distance: Type.Integer(),
    }),
  ),
  /** For a device: what its policies denied to it, the newest first. */
  denials: Type.Optional(Type.Array(Denial)),
  refusals: Type.Array(
    Type.Object({
      at: Time,
      reason: Type.String(),
      address: Type.String(),
      fingerprint: Type.String(),
      count: Type.Integer(),
      ...Answers,
    }),
  ),
})
export type Explanation = Static<typeof Explanation>

export const ProblemDocument = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  reason: Type.String(),
  requestId: Type.String(),
  hint: Nullable(Type.String()),
  errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
})
