// Opaque API tokens. The registry keeps their SHA-256, never the token: 256 random bits need no slow hash.
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from './audit.ts'
import type { Registry } from './open.ts'
import type { Role, Schema } from './schema.ts'
import { transact } from './transact.ts'

export type TokenHolder = { id: string; name: string; role: Role }

export type TokenStore = {
  /** Makes a token and gives it once. Only its hash is stored. */
  createToken(name: string, role: Role, actor: Actor): Promise<string>
  /** The same, and from then on no other token of this name is accepted. */
  replaceToken(name: string, role: Role, actor: Actor): Promise<string>
  /** Who holds this token, or null where it is unknown, expired or revoked. */
  holderOf(token: string): TokenHolder | null
}

const FORM = /^rc_[A-Za-z0-9_-]{43}$/

export function createTokenStore(registry: Registry, now: () => number): TokenStore {
  const byHash = registry.sqlite.prepare<
    [string, number],
    TokenHolder & { hash: string }
  >(`SELECT id, name, role, hash FROM api_tokens
     WHERE hash = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`)
  return {
    createToken: (name, role, actor) =>
      transact(registry, transaction => insertToken(transaction, { name, role, actor, at: now() })),

    replaceToken: (name, role, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const { numUpdatedRows } = await transaction
          .updateTable('api_tokens')
          .set({ revoked_at: at })
          .where('name', '=', name)
          .where('revoked_at', 'is', null)
          .executeTakeFirst()
        if (numUpdatedRows > 0n) {
          const detail = { tokens: Number(numUpdatedRows) }
          await appendAudit(transaction, { at, actor, action: 'token.revoke', target: name, detail })
        }
        return insertToken(transaction, { name, role, actor, at })
      }),

    holderOf(token) {
      if (!FORM.test(token)) return null
      const hash = hashOf(token)
      const row = byHash.get(hash, now())
      // The index found it by hash; comparing again in constant time leaves nothing to time.
      if (row === undefined || !timingSafeEqual(Buffer.from(row.hash), Buffer.from(hash))) return null
      return { id: row.id, name: row.name, role: row.role }
    },
  }
}

async function insertToken(
  transaction: Transaction<Schema>,
  { name, role, actor, at }: { name: string; role: Role; actor: Actor; at: number },
): Promise<string> {
  const token = `rc_${randomBytes(32).toString('base64url')}`
  const id = randomUUID()
  await transaction
    .insertInto('api_tokens')
    .values({ id, name, role, hash: hashOf(token), created_at: at, expires_at: null, revoked_at: null })
    .execute()
  await appendAudit(transaction, { at, actor, action: 'token.create', target: id, detail: { name, role } })
  return token
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
