// Reads credentials of operators: API tokens and certificates, page by page. Never a token, never its hash.
import type { Registry } from '../open.ts'
import type { Page } from '../page.ts'
import type { Role, Schema } from '../schema.ts'

/** Times in ms since the epoch; `scope` is the group it is bound to. */
type Credential = {
  name: string
  role: Role
  scope: string | null
  createdAt: number
  createdBy: string
  revokedAt: number | null
  lastUsedAt: number | null
  lastUsedAddress: string | null
}
export type ApiToken = Credential & { id: string; expiresAt: number | null }
export type Operator = Credential & {
  fingerprint: string
  subject: string
  keyType: string
  notBefore: number
  notAfter: number
  expiresAt: number
}

/** `scope` narrows to what is bound to one group. */
export type OperatorReader = {
  token(id: string, scope: string | null): Promise<ApiToken | null>
  tokens(scope: string | null, after: string | null, limit: number): Promise<Page<ApiToken>>
  operator(fingerprint: string, scope: string | null): Promise<Operator | null>
  operators(scope: string | null, after: string | null, limit: number): Promise<Page<Operator>>
}

export function createOperatorReader({ query }: Registry): OperatorReader {
  function tokens(scope: string | null) {
    const select = query.selectFrom('api_tokens').selectAll().orderBy('id')
    return scope === null ? select : select.where('scope_group', '=', scope)
  }
  function operators(scope: string | null) {
    const select = query.selectFrom('operator_certificates').selectAll().orderBy('fingerprint')
    return scope === null ? select : select.where('scope_group', '=', scope)
  }
  return {
    async token(id, scope) {
      const row = await tokens(scope).where('id', '=', id).executeTakeFirst()
      return row === undefined ? null : toToken(row)
    },
    async tokens(scope, after, limit) {
      const rows = await tokens(scope)
        .where('id', '>', after ?? '')
        .limit(limit + 1)
        .execute()
      return page(rows.map(toToken), limit, token => token.id)
    },
    async operator(fingerprint, scope) {
      const row = await operators(scope).where('fingerprint', '=', fingerprint).executeTakeFirst()
      return row === undefined ? null : toOperator(row)
    },
    async operators(scope, after, limit) {
      const rows = await operators(scope)
        .where('fingerprint', '>', after ?? '')
        .limit(limit + 1)
        .execute()
      return page(rows.map(toOperator), limit, operator => operator.fingerprint)
    },
  }
}

function page<T>(rows: T[], limit: number, key: (row: T) => string): Page<T> {
  return rows.length <= limit
    ? { items: rows, next: null }
    : { items: rows.slice(0, limit), next: key(rows[limit - 1]!) }
}

function credentialOf(row: Schema['api_tokens'] | Schema['operator_certificates']): Credential {
  return {
    name: row.name,
    role: row.role,
    scope: row.scope_group,
    createdAt: row.created_at,
    createdBy: row.created_by,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
    lastUsedAddress: row.last_used_address,
  }
}

function toToken(row: Schema['api_tokens']): ApiToken {
  return { id: row.id, expiresAt: row.expires_at, ...credentialOf(row) }
}

function toOperator(row: Schema['operator_certificates']): Operator {
  return {
    fingerprint: row.fingerprint,
    subject: row.subject,
    keyType: row.key_type,
    notBefore: row.not_before,
    notAfter: row.not_after,
    expiresAt: row.expires_at,
    ...credentialOf(row),
  }
}
