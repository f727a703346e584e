// API tokens and operators' certificates, and the verbs on them.
import type { Transport } from './transport.ts'

export type Role = 'viewer' | 'enroller' | 'operator' | 'admin'

/** `group` narrows to the devices of one group; `days` is 90 where none is given. */
export type NewApiToken = { name: string; role: Role; group?: string; days?: number }
export type NewOperator = NewApiToken & { certificate: string }

/** Times are RFC 3339 UTC. */
type Credential = {
  name: string
  role: Role
  group: string | null
  state: 'accepted' | 'expired' | 'revoked'
  createdAt: string
  createdBy: string
  expiresAt: string | null
  revokedAt: string | null
  lastUsedAt: string | null
  lastUsedAddress: string | null
}
export type ApiToken = Credential & { id: string }
export type Operator = Credential & {
  fingerprint: string
  subject: string
  keyType: string
  notBefore: string
  notAfter: string
}
export type WhoAmI = {
  kind: 'token' | 'certificate'
  id: string
  name: string
  role: Role
  group: string | null
  expiresAt: string | null
}

type Walk = <Item>(path: string, query: Record<string, number | undefined>) => AsyncGenerator<Item[], void>

export function apiTokenVerbs(call: Transport['call'], walk: Walk) {
  return {
    /** The answer is the only place that shows the token. */
    create: (wanted: NewApiToken) => call<ApiToken & { token: string }>('POST', '/v1/api-tokens', wanted),
    pages: () => walk<ApiToken>('/v1/api-tokens', {}),
    revoke: (id: string) => call<ApiToken>('POST', `/v1/api-tokens/${encodeURIComponent(id)}/revoke`),
  }
}

export function operatorVerbs(call: Transport['call'], walk: Walk) {
  return {
    /** Registers a certificate (PEM); its key stays with its holder. */
    add: (added: NewOperator) => call<Operator>('POST', '/v1/operators', added),
    pages: () => walk<Operator>('/v1/operators', {}),
    revoke: (fingerprint: string) =>
      call<Operator>('POST', `/v1/operators/${encodeURIComponent(fingerprint)}/revoke`),
  }
}
