// What the routes about trust anchors take and give.
import Type, { type Static } from 'typebox'
import { Name, Nullable, OneOf, Pem, receiptFields, strict, Time } from '../http/schemas.ts'
import { Issuer } from './issuer-schemas.ts'

const Fingerprint = Type.String({ pattern: '^[0-9a-f]{64}$' })
const modes = ['off', 'pending', 'active'] as const

export const NewIssuer = Type.Object({ certificate: Pem, name: Type.Optional(Name) }, strict)
export const Proof = Type.Object({ certificate: Pem }, strict)
export const AnchorProfile = Type.Object({ acceptV1: Type.Boolean() }, strict)
export const AnchorProfileSet = Type.Object({ issuerId: Fingerprint, acceptV1: Type.Boolean() })
export const AutoRegistration = Type.Object(
  {
    mode: OneOf(modes),
    nameTemplate: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    perMinuteMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 6_000 })),
    devicesMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000_000 })),
  },
  strict,
)

export const Challenge = Type.Object({ issuerId: Fingerprint, nonce: Type.String(), expiresAt: Time })
export const Proven = Type.Object({
  issuerId: Fingerprint,
  provenAt: Time,
  verificationCertificate: Fingerprint,
})
export const NewIssuerReceipt = Type.Object({ ...Issuer.properties, ...receiptFields })
export const AutoRegistrationReceipt = Type.Object({
  ...receiptFields,
  issuerId: Fingerprint,
  mode: OneOf(modes),
  nameTemplate: Type.String(),
  perMinuteMax: Type.Integer(),
  devicesMax: Type.Integer(),
})

/** With its PEM. `revoked`: the CRL of the CA above lists it. `anchor` is null for a CA of this service. */
export const IssuerDetail = Type.Object({
  ...Issuer.properties,
  certificate: Type.String(),
  revoked: Type.Boolean(),
  anchor: Nullable(
    Type.Object({
      acceptV1: Type.Boolean(),
      provenAt: Nullable(Time),
      challengeExpiresAt: Nullable(Time),
      autoRegistration: Type.Object({
        mode: OneOf(modes),
        nameTemplate: Type.String(),
        perMinuteMax: Type.Integer(),
        devicesMax: Type.Integer(),
        devicesRegistered: Type.Integer(),
      }),
    }),
  ),
})
export type IssuerDetail = Static<typeof IssuerDetail>

/** A stranger that wants to register itself: waiting, or refused with the reason. */
export const Arrival = Type.Object({
  fingerprint: Fingerprint,
  issuerId: Fingerprint,
  address: Type.String(),
  at: Time,
  decidedAt: Nullable(Time),
  reason: Nullable(Type.String()),
  detail: Nullable(Type.String()),
})

/** By a pattern, since a least length counts the characters of all of it: 30 ms for 4 MiB. */
export const NewCrl = Type.Object({ crl: Type.String({ pattern: '^[\\s\\S]' }) }, strict)
export const CrlSource = Type.Object({ url: Nullable(Type.String({ maxLength: 2_048 })) }, strict)
const crlStatus = {
  issuerId: Fingerprint,
  /** Whether it says that a newer one should be there by now. It stays in force all the same. */
  stale: Type.Boolean(),
  crl: Nullable(
    Type.Object({
      number: Nullable(Type.String()),
      thisUpdate: Time,
      nextUpdate: Nullable(Time),
      entries: Type.Integer(),
      hash: Type.String(),
      importedAt: Time,
    }),
  ),
  source: Type.Object({
    url: Nullable(Type.String()),
    checkedAt: Nullable(Time),
    error: Nullable(Type.String()),
  }),
}
export const CrlStatus = Type.Object(crlStatus)
export type CrlStatus = Static<typeof CrlStatus>
export const CrlReceipt = Type.Object({ ...crlStatus, receipt: Nullable(Type.Object(receiptFields)) })
