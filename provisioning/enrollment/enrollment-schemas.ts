// What the enrollment routes take and give: tokens, claims, and enrolling itself.
import Type from 'typebox'
import { CSR_CHARACTERS_MAX } from '../../pki/pem.ts'
import { Name, Nullable, OneOf, strict, Time } from '../http/schemas.ts'

const HOUR_SECONDS = 60 * 60
const Id = Type.String({ pattern: '^[0-9a-f-]{36}$' })
const Csr = Type.String({ maxLength: CSR_CHARACTERS_MAX })
export const TOKEN_SECONDS = 24 * HOUR_SECONDS
const TOKEN_SECONDS_MAX = 7 * 24 * HOUR_SECONDS
export const CLAIM_DAYS_MAX = 30

export const IdParams = Type.Object({ id: Id }, strict)

const tokenTerms = {
  lifetimeSeconds: Type.Optional(
    Type.Integer({ minimum: 1, maximum: TOKEN_SECONDS_MAX, default: TOKEN_SECONDS }),
  ),
  approval: Type.Optional(Type.Boolean({ default: false })),
  /** Whether the answer shows what a client of CMP takes instead of the token. */
  cmp: Type.Optional(Type.Boolean({ default: false })),
  /** Whether it shows what a client of ACME takes instead. */
  acme: Type.Optional(Type.Boolean({ default: false })),
}
/** What binds an account of ACME (RFC 8555 §7.3.4): `hmacKey` is base64url, as its clients take it. */
const AccountBinding = Type.Object({ kid: Type.String(), hmacKey: Type.String() })
export const NewEnrollmentToken = Type.Union([
  Type.Object({ deviceId: Name, ...tokenTerms }, strict),
  Type.Object({ group: Name, ...tokenTerms }, strict),
])

const tokenFields = {
  id: Id,
  status: Type.Unsafe<'open' | 'used' | 'revoked' | 'expired' | 'exhausted'>({
    type: 'string',
    enum: ['open', 'used', 'revoked', 'expired', 'exhausted'],
  }),
  deviceId: Nullable(Type.String()),
  group: Nullable(Type.String()),
  approval: Type.Boolean(),
  /** Whether the certificate waits where the device holds one: so where an enroller made the token. */
  approvalIfHeld: Type.Boolean(),
  attempts: Type.Integer(),
  createdBy: Type.String(),
  createdAt: Time,
  expiresAt: Time,
  revokedAt: Nullable(Time),
  usedAt: Nullable(Time),
  usedBy: Nullable(Type.String()),
}
export const EnrollmentToken = Type.Object(tokenFields)
/** With the token itself: shown once, kept nowhere. */
export const MadeEnrollmentToken = Type.Object({
  ...tokenFields,
  token: Type.String(),
  cmp: Type.Optional(Type.Object({ reference: Type.String(), secret: Type.String() })),
  acme: Type.Optional(AccountBinding),
})

export const NewClaim = Type.Object(
  {
    name: Name,
    csr: Csr,
    group: Type.Optional(Name),
    quota: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    allow: Type.Optional(Type.Array(Name, { minItems: 1, maxItems: 400, uniqueItems: true })),
    days: Type.Optional(Type.Integer({ minimum: 1, maximum: CLAIM_DAYS_MAX, default: CLAIM_DAYS_MAX })),
    approval: Type.Optional(Type.Boolean({ default: false })),
    /** Whether the answer shows what a client of ACME takes instead of the certificate. */
    acme: Type.Optional(Type.Boolean({ default: false })),
  },
  strict,
)

const claimFields = {
  id: Id,
  name: Type.String(),
  status: Type.Unsafe<'open' | 'revoked' | 'expired' | 'unsigned'>({
    type: 'string',
    enum: ['open', 'revoked', 'expired', 'unsigned'],
  }),
  group: Nullable(Type.String()),
  quota: Type.Integer(),
  claimed: Type.Integer(),
  allowlisted: Type.Boolean(),
  approval: Type.Boolean(),
  fingerprint: Nullable(Type.String()),
  createdBy: Type.String(),
  createdAt: Time,
  notAfter: Time,
  revokedAt: Nullable(Time),
}
export const Claim = Type.Object(claimFields)
/** With leaf, chain and CA in PEM; `certificate` is null for a claim that was never signed. */
export const ClaimWithPem = Type.Object({
  ...claimFields,
  certificate: Nullable(Type.String()),
  chain: Type.Array(Type.String()),
  ca: Nullable(Type.String()),
})

export const MadeClaim = Type.Object({ ...ClaimWithPem.properties, acme: Type.Optional(AccountBinding) })

export const Enrollment = Type.Object({ csr: Csr, deviceId: Type.Optional(Name) }, strict)
export const EnrollmentQuery = Type.Object({ deviceId: Type.Optional(Name) }, strict)
export const PendingEnrollment = Type.Object({
  status: Type.Literal('pending'),
  deviceId: Type.String(),
  fingerprint: Type.String(),
})

const modes = ['off', 'pending', 'active'] as const
export const NewAnchorEnrollment = Type.Object(
  {
    mode: OneOf(modes),
    nameTemplate: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    group: Type.Optional(Nullable(Name)),
    devicesMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000_000 })),
  },
  strict,
)
export const AnchorEnrollment = Type.Object({
  issuerId: Type.String(),
  mode: OneOf(modes),
  nameTemplate: Type.String(),
  group: Nullable(Type.String()),
  devicesMax: Type.Integer(),
  /** How many have enrolled so far. */
  devices: Type.Integer(),
})
