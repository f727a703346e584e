// Opaque API tokens. The registry keeps their SHA-256, never the token: 256 random bits need no slow hash.
// Whether somebody may make a token of this strength is decided before; here it is written, found and ended.
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { cancelJobsOf } from '../jobs/jobs-of-operator.ts'
import type { Registry } from '../open.ts'
import type { Role, Schema } from '../schema.ts'
import { Conflict, transact, transactUrgently } from '../transact.ts'
import { assertNameFree } from './operator-names.ts'
import { endWorkOf } from './work-of-operator.ts'

/** A caller and its scope: `scope` is a group, null if it is not bound to one. Times in ms. */
export type Holder = {
  kind: 'token' | 'certificate'
  id: string
  name: string
  role: Role
  scope: string | null
  expiresAt: number | null
  lastUsedAt: number | null
}
type NewToken = { name: string; role: Role; scope?: string | null; expiresAt?: number | null }

export type TokenEnd = { how: 'revoked' | 'expired'; at: number }

export type TokenStore = {
  /** Makes a token and gives it once. Only its hash is stored. */
  createToken(token: NewToken, actor: Actor): Promise<{ id: string; token: string }>
  /**
   * The same, and from then on no other token of this name is accepted. Imports that run under it end; enrollment tokens stay, since a
   * restore replaces the token, too, and devices may hold them.
   */
  replaceToken(token: NewToken, actor: Actor): Promise<string>
  /** A fresh secret for an unused token, null if it was used: for a caller that lost the answer with the secret. */
  renewUnusedToken(id: string, actor: Actor): Promise<string | null>
  /** Open enrollment tokens and unfinished imports of its holder end with it. Revoking again changes nothing. `scope` narrows to tokens of one group. @throws {Conflict} `token_unknown` */
  revokeToken(id: string, scope: string | null, actor: Actor): Promise<void>
  /** The holder of this token, or null if it is unknown, expired or revoked. */
  holderOf(token: string): Holder | null
  /** How and when (ms since the epoch) this token ended, for a caller that shows it; null if it is unknown or accepted. */
  endOf(token: string): TokenEnd | null
  /** The holder of the token with this ID, or null if it is unknown, expired or revoked. For a caller that showed the token before. */
  tokenHolder(id: string): Holder | null
  noteTokenUse(id: string, at: number, address: string): Promise<void>
}

/** Tokens that are neither revoked nor expired. */
const TOKENS_MAX = 10_000
/** How long one that ended is still listed. */
const ENDED_KEPT_MS = 366 * 86_400_000
const FORM = /^rc_[A-Za-z0-9_-]{43}$/

export function createTokenStore(registry: Registry, now: () => number): TokenStore {
  const accepted = `SELECT id, name, role, scope_group AS scope, expires_at AS expiresAt, last_used_at AS lastUsedAt, hash
     FROM api_tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`
  type Row = Omit<Holder, 'kind'> & { hash: string }
  const byHash = registry.sqlite.prepare<[number, string], Row>(`${accepted} AND hash = ?`)
  const byId = registry.sqlite.prepare<[number, string], Row>(`${accepted} AND id = ?`)
  const ended = registry.sqlite.prepare<[string], { revokedAt: number | null; expiresAt: number | null }>(
    'SELECT revoked_at AS revokedAt, expires_at AS expiresAt FROM api_tokens WHERE hash = ?',
  )
  return {
    createToken: (token, actor) =>
      transact(registry, async transaction => {
        await assertRoom(transaction, now())
        await assertNameFree(transaction, token.name, now())
        return insertToken(transaction, token, actor, now())
      }),

    replaceToken: (token, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const { numUpdatedRows } = await transaction
          .updateTable('api_tokens')
          .set({ revoked_at: at })
          .where('name', '=', token.name)
          .where('revoked_at', 'is', null)
          .executeTakeFirst()
        if (numUpdatedRows > 0n) {
          const jobs = await cancelJobsOf(transaction, { name: token.name, kind: 'token' }, at)
          const detail = { tokens: Number(numUpdatedRows), ...(jobs > 0 && { jobs }) }
          await appendAudit(transaction, { at, actor, action: 'token.revoke', target: token.name, detail })
        }
        return (await insertToken(transaction, token, actor, at)).token
      }),

    renewUnusedToken: (id, actor) =>
      transact(registry, async transaction => {
        const token = newSecret()
        const { numUpdatedRows } = await transaction
          .updateTable('api_tokens')
          .set({ hash: hashOf(token) })
          .where('id', '=', id)
          .where('last_used_at', 'is', null)
          .where('revoked_at', 'is', null)
          .executeTakeFirst()
        if (numUpdatedRows === 0n) return null
        await appendAudit(transaction, { at: now(), actor, action: 'token.renew', target: id })
        return token
      }),

    revokeToken: (id, scope, actor) =>
      transactUrgently(registry, async transaction => {
        const at = now()
        let select = transaction.selectFrom('api_tokens').select(['name', 'revoked_at']).where('id', '=', id)
        if (scope !== null) select = select.where('scope_group', '=', scope)
        const row = await select.executeTakeFirst()
        if (row === undefined) throw new Conflict('token_unknown', `there is no API token ${id}`)
        if (row.revoked_at !== null) return
        await transaction.updateTable('api_tokens').set({ revoked_at: at }).where('id', '=', id).execute()
        const ended = await endWorkOf(transaction, { name: row.name, kind: 'token' }, at, actor)
        const detail = { name: row.name, ...ended }
        await appendAudit(transaction, { at, actor, action: 'token.revoke', target: id, detail })
      }),

    holderOf(token) {
      if (!FORM.test(token)) return null
      const hash = hashOf(token)
      const row = byHash.get(now(), hash)
      // The index found it by hash; comparing again in constant time leaves nothing to time.
      if (row === undefined || !timingSafeEqual(Buffer.from(row.hash), Buffer.from(hash))) return null
      return toHolder(row)
    },

    endOf(token) {
      const row = FORM.test(token) ? ended.get(hashOf(token)) : undefined
      if (row === undefined) return null
      if (row.revokedAt !== null) return { how: 'revoked', at: row.revokedAt }
      return row.expiresAt !== null && row.expiresAt <= now() ? { how: 'expired', at: row.expiresAt } : null
    },

    tokenHolder(id) {
      const row = byId.get(now(), id)
      return row === undefined ? null : toHolder(row)
    },

    noteTokenUse: (id, at, address) =>
      transact(registry, async transaction => {
        await transaction
          .updateTable('api_tokens')
          .set({ last_used_at: at, last_used_address: address })
          .where('id', '=', id)
          .execute()
      }),
  }
}

function toHolder({ hash: _, ...row }: Omit<Holder, 'kind'> & { hash: string }): Holder {
  return { kind: 'token', ...row }
}

async function insertToken(
  transaction: Transaction<Schema>,
  { name, role, scope = null, expiresAt = null }: NewToken,
  actor: Actor,
  at: number,
): Promise<{ id: string; token: string }> {
  const token = newSecret()
  const id = randomUUID()
  await transaction
    .insertInto('api_tokens')
    .values({
      ...{ id, name, role, hash: hashOf(token), scope_group: scope },
      ...{ created_at: at, created_by: actor.name, expires_at: expiresAt, revoked_at: null },
      ...{ last_used_at: null, last_used_address: null },
    })
    .execute()
  const detail = { name, role, scope, expiresAt }
  await appendAudit(transaction, { at, actor, action: 'token.create', target: id, detail })
  return { id, token }
}

/** Tokens that ended long ago are deleted; the audit log keeps their makers and ends. */
async function assertRoom(transaction: Transaction<Schema>, at: number): Promise<void> {
  await transaction
    .deleteFrom('api_tokens')
    .where(({ eb, fn }) => eb(fn.coalesce('revoked_at', 'expires_at'), '<', at - ENDED_KEPT_MS))
    .execute()
  const { live } = await transaction
    .selectFrom('api_tokens')
    .select(({ fn }) => fn.countAll<number>().as('live'))
    .where('revoked_at', 'is', null)
    .where(({ eb, or }) => or([eb('expires_at', 'is', null), eb('expires_at', '>', at)]))
    .executeTakeFirstOrThrow()
  if (live >= TOKENS_MAX) throw new Conflict('tokens_exceeded', `${live} API tokens are accepted already`)
}

function newSecret(): string {
  return `rc_${randomBytes(32).toString('base64url')}`
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
