// What the routes of TPMs take and give.
import Type from 'typebox'
import { Name, Nullable, OneOf, strict, Time } from '../http/schemas.ts'

/** A TPM2B_PUBLIC has at most 2 KiB here, an endorsement certificate 6 KiB. */
const PublicArea = Type.String({ minLength: 4, maxLength: 4_096, description: 'Base64 of a TPM2B_PUBLIC' })
export const TpmChallengeRequest = Type.Object(
  {
    key: PublicArea,
    endorsementCertificate: Type.Optional(
      Type.String({ minLength: 4, maxLength: 8_192, description: 'PEM, or base64 of DER' }),
    ),
    endorsementKey: Type.Optional(PublicArea),
    deviceId: Type.Optional(Name),
  },
  strict,
)
export const TpmChallenge = Type.Object({
  session: Type.String(),
  credential: Type.String({ description: 'Base64 of the file that tpm2_activatecredential reads' }),
  expiresAt: Time,
})
export const SessionParams = Type.Object({ session: Type.String({ pattern: '^[A-Za-z0-9_-]{22}$' }) }, strict)
export const TpmActivation = Type.Object(
  { secret: Type.String({ minLength: 4, maxLength: 128, description: 'Base64 of what the TPM recovered' }) },
  strict,
)

const modes = ['off', 'pending', 'active'] as const
export const NewTpmAnchor = Type.Object(
  {
    mode: OneOf(modes),
    group: Type.Optional(Nullable(Name)),
    devicesMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000_000 })),
  },
  strict,
)
export const TpmAnchor = Type.Object({
  issuerId: Type.String(),
  mode: OneOf(modes),
  group: Nullable(Type.String()),
  devicesMax: Type.Integer(),
  devices: Type.Integer(),
})

export const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
export const NewEndorsementKey = Type.Object({ endorsementKey: Nullable(Sha256) }, strict)
export const DeviceTpm = Type.Object({
  deviceId: Type.String(),
  endorsementKey: Nullable(
    Type.Object({
      sha256: Sha256,
      vouchedBy: OneOf(['operator', 'maker', 'token', 'nobody'] as const),
      issuerId: Nullable(Type.String()),
      maker: Nullable(Type.String()),
      model: Nullable(Type.String()),
      version: Nullable(Type.String()),
      recordedAt: Time,
    }),
  ),
  /** The newest first. */
  attestations: Type.Array(
    Type.Object({
      fingerprint: Sha256,
      endorsementKey: Sha256,
      keyName: Type.String(),
      keyAttributes: Type.Array(Type.String()),
      provenAt: Time,
      attested: Type.Boolean(),
    }),
  ),
})
