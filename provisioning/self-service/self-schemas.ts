// What a device takes and gives when it calls for itself: little, and plain enough for a microcontroller.
import Type from 'typebox'
import { CSR_CHARACTERS_MAX } from '../../pki/pem.ts'
import { Certificate } from '../http/schemas.ts'

const Time = Type.String({ format: 'date-time' })

export const Self = Type.Object({
  deviceId: Type.String(),
  state: Type.String(),
  certificate: Type.Object({
    fingerprint: Type.String(),
    status: Certificate.properties.status,
    notBefore: Time,
    notAfter: Time,
    graceUntil: Type.Union([Time, Type.Null()]),
  }),
  renewal: Type.Object({ open: Type.Boolean(), opensAt: Time, criticalAt: Time }),
  now: Time,
})

export const Renewal = Type.Object(
  {
    csr: Type.String({ maxLength: CSR_CHARACTERS_MAX }),
    reason: Type.Optional(Type.Literal('keyCompromise')),
  },
  { additionalProperties: false },
)
