// What the routes about issuers take and give.
import Type from 'typebox'
import { receiptFields } from '../http/schemas.ts'

const Fingerprint = Type.String({ pattern: '^[0-9a-f]{64}$' })
const Time = Type.String({ format: 'date-time' })

export const IssuerParams = Type.Object({ issuer: Fingerprint }, { additionalProperties: false })

export const Issuer = Type.Object({
  id: Fingerprint,
  name: Type.String(),
  kind: Type.Unsafe<'root' | 'issuing' | 'foreign'>({ type: 'string', enum: ['root', 'issuing', 'foreign'] }),
  parentId: Type.Union([Fingerprint, Type.Null()]),
  enabled: Type.Boolean(),
  subject: Type.String(),
  notBefore: Time,
  notAfter: Time,
  /** The certificate in force first, then those that it took the place of. */
  certificates: Type.Array(
    Type.Object({ fingerprint: Fingerprint, notBefore: Time, notAfter: Time, inForce: Type.Boolean() }),
  ),
})

export const Retirement = Type.Object({ fingerprint: Fingerprint }, { additionalProperties: false })
export const IssuerChanged = Type.Object({ ...receiptFields, issuerId: Fingerprint })

export const IssuerReceipt = Type.Object({
  ...receiptFields,
  issuerId: Fingerprint,
  enabled: Type.Boolean(),
})
