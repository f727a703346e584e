// What the routes about API tokens and operators take and give.
import Type from 'typebox'
import { CSR_CHARACTERS_MAX } from '../../pki/pem.ts'
import { Name, Nullable, OneOf, paging, strict, Time } from '../http/schemas.ts'
import { DAYS_DEFAULT, DAYS_MAX } from './delegation.ts'

const roles = ['viewer', 'enroller', 'operator', 'admin'] as const
const Role = OneOf(roles)
const Group = Nullable(Type.String())

export const PageQuery = Type.Object(paging, strict)
export const TokenParams = Type.Object(
  { token: Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' }) },
  strict,
)
export const OperatorParams = Type.Object({ operator: Type.String({ pattern: '^[0-9a-f]{64}$' }) }, strict)

const wanted = {
  name: Name,
  role: Role,
  group: Type.Optional(Name),
  days: Type.Optional(
    Type.Integer({ minimum: 1, maximum: DAYS_MAX, description: `${DAYS_DEFAULT} where none is given` }),
  ),
}
export const NewApiToken = Type.Object(wanted, strict)
export const NewOperator = Type.Object(
  { ...wanted, certificate: Type.String({ maxLength: CSR_CHARACTERS_MAX }) },
  strict,
)

const credential = {
  name: Type.String(),
  role: Role,
  group: Group,
  state: OneOf(['accepted', 'expired', 'revoked'] as const),
  createdAt: Time,
  createdBy: Type.String(),
  expiresAt: Nullable(Time),
  revokedAt: Nullable(Time),
  lastUsedAt: Nullable(Time),
  lastUsedAddress: Nullable(Type.String()),
}
export const ApiToken = Type.Object({ id: Type.String(), ...credential })
/** The token itself is shown here and never again. */
export const ApiTokenWithSecret = Type.Object({ id: Type.String(), token: Type.String(), ...credential })
export const Operator = Type.Object({
  fingerprint: Type.String(),
  subject: Type.String(),
  keyType: Type.String(),
  notBefore: Time,
  notAfter: Time,
  ...credential,
})

export const WhoAmI = Type.Object({
  kind: OneOf(['token', 'certificate'] as const),
  id: Type.String(),
  name: Type.String(),
  role: Role,
  group: Group,
  expiresAt: Nullable(Time),
})
