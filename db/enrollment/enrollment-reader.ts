// Reading enrollment tokens and claims as operators see them, page by page. Never a hash, never a key.

import type { Registry } from '../open.ts'
import { type Page, pageOf } from '../page.ts'
import { type Claim, type ClaimRow, claimColumns, toClaim } from './claims.ts'
import { type EnrollmentToken, tokenColumns } from './enrollment-tokens.ts'

export type EnrollmentReader = {
  /** `scope` is the group that alone is looked at: of claims and tokens of the group, and of tokens for its devices. */
  enrollmentToken(id: string, scope: string | null): Promise<EnrollmentToken | null>
  enrollmentTokens(after: string | null, limit: number, scope: string | null): Promise<Page<EnrollmentToken>>
  claim(id: string, scope: string | null): Promise<(Claim & { der: Buffer | null }) | null>
  claims(after: string | null, limit: number, scope: string | null): Promise<Page<Claim>>
}

export function createEnrollmentReader(registry: Registry): EnrollmentReader {
  const { query, sqlite } = registry
  const tokens = (scope: string | null) => {
    const all = query.selectFrom('enrollment_tokens').select(tokenColumns).orderBy('id')
    if (scope === null) return all
    const members = query.selectFrom('device_groups').select('device_id').where('name', '=', scope)
    return all.where(({ eb, or }) => or([eb('group_name', '=', scope), eb('device_id', 'in', members)]))
  }
  const within = '(@scope IS NULL OR group_name = @scope)'
  const oneClaim = sqlite.prepare<[{ id: string; scope: string | null }], ClaimRow & { der: Buffer | null }>(
    `SELECT ${claimColumns}, der FROM claims WHERE id = @id AND ${within}`,
  )
  const someClaims = sqlite.prepare<[{ after: string; limit: number; scope: string | null }], ClaimRow>(
    `SELECT ${claimColumns} FROM claims WHERE id > @after AND ${within} ORDER BY id LIMIT @limit`,
  )
  return {
    async enrollmentToken(id, scope) {
      const row = await tokens(scope).where('id', '=', id).executeTakeFirst()
      return row === undefined ? null : withFlags(row)
    },

    async enrollmentTokens(after, limit, scope) {
      const rows = await tokens(scope)
        .where('id', '>', after ?? '')
        .limit(limit + 1)
        .execute()
      const { items, next } = pageOf(rows, limit, row => row.id)
      return { items: items.map(withFlags), next }
    },

    async claim(id, scope) {
      const row = oneClaim.get({ id, scope })
      return row === undefined ? null : { ...toClaim(row), der: row.der }
    },

    async claims(after, limit, scope) {
      const rows = someClaims.all({ after: after ?? '', limit: limit + 1, scope })
      const { items, next } = pageOf(rows, limit, row => row.id)
      return { items: items.map(toClaim), next }
    },
  }
}

function withFlags<Row extends { approval: number; approvalIfHeld: number }>(row: Row) {
  return { ...row, approval: row.approval === 1, approvalIfHeld: row.approvalIfHeld === 1 }
}
