// What the routes about our own CA take and give.
import Type from 'typebox'
import { Nullable } from '../http/schemas.ts'

const Fingerprint = Type.String({ pattern: '^[0-9a-f]{64}$' })
const Time = Type.String({ format: 'date-time' })
const YEAR_SECONDS = 366 * 86_400

export const Ca = Type.Object({
  statusUrl: Type.String(),
  keysEncrypted: Type.Boolean(),
  root: Type.Object({ id: Fingerprint, notAfter: Time, keyHere: Type.Boolean() }),
  issuing: Type.Array(
    Type.Object({
      id: Fingerprint,
      name: Type.String(),
      enabled: Type.Boolean(),
      current: Type.Boolean({ description: 'It is to issue' }),
      keyHere: Type.Boolean({ description: 'Of the service that answers' }),
      /** Devices whose certificate in use, or yet to be used, is of this CA. */
      devices: Type.Integer(),
      notAfter: Time,
      /** When it took over, and when the last device of the one before is told to renew. Null for the first CA. */
      since: Type.Union([Time, Type.Null()]),
      allToldAt: Type.Union([Time, Type.Null()]),
      crl: Type.Union([
        Type.Object({ number: Type.Integer(), entries: Type.Integer(), nextUpdate: Time }),
        Type.Null(),
      ]),
    }),
  ),
})

export const CaRequest = Type.Object({ csr: Type.String(), name: Type.String() })

export const RotationBody = Nullable(
  Type.Object(
    {
      certificate: Type.Optional(Type.String({ maxLength: 16 * 1024 })),
      spreadSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: YEAR_SECONDS })),
    },
    { additionalProperties: false },
  ),
)

export const RetirementBody = Nullable(
  Type.Object({ force: Type.Optional(Type.Boolean()) }, { additionalProperties: false }),
)
