// One-time enrollment tokens. The registry keeps their SHA-256, never the token: 256 random bits need no slow hash.
// Whether one still opens something is asked here again in the transaction that uses it up.
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import type { Registry } from '../open.ts'
import { addDeviceIn, stateOf } from '../roll/device-writer.ts'
import type { Schema } from '../schema.ts'
import { Conflict, transact } from '../transact.ts'

/** For one device on record, or for a new device in a group. Times in ms since the epoch. */
export type EnrollmentToken = {
  id: string
  deviceId: string | null
  group: string | null
  /** Whether the certificate that it gets waits for an operator. */
  approval: boolean
  /** Whether it does so where the device holds a certificate when the token is used. */
  approvalIfHeld: boolean
  /** Where its device has rights by then beyond this group's it waits, too: '' for any group's, null for never. */
  madeWithin: string | null
  createdBy: string
  createdAt: number
  expiresAt: number
  /** How often it was presented with a request. */
  attempts: number
  revokedAt: number | null
  usedAt: number | null
  /** The device that it enrolled. */
  usedBy: string | null
}

/** With what came of it: the key it was used for, and the certificate, null where it was never made. */
export type PresentedToken = EnrollmentToken & { spkiHash: string | null; fingerprint: string | null }

export type NewEnrollmentToken = {
  bound: { deviceId: string } | { group: string }
  approval: boolean
  approvalIfHeld: boolean
  madeWithin: string | null
  lifetimeMs: number
}

export type EnrollmentTokenStore = {
  /** Makes a token and gives it once. Only its hash is stored. */
  createEnrollmentToken(order: NewEnrollmentToken, actor: Actor): Promise<EnrollmentToken & { token: string }>
  /** From then on it opens nothing, a lost answer included. Again changes nothing. */
  revokeEnrollmentToken(id: string, actor: Actor): Promise<void>
  /** The token on record, or null. The caller decides whether it is still good. */
  presentedToken(token: string): PresentedToken | null
  /** The same by the ID of a token, for a caller that has proved in another way that it holds it. */
  knownToken(id: string): PresentedToken | null
  /** Counts a presentation before anything is done for it, so that many at once are no more than five. */
  countAttempt(id: string): Promise<void>
  /** Takes back an attempt that failed through no fault of its bearer. */
  uncountAttempt(id: string): Promise<void>
}

export const ATTEMPTS_MAX = 5
/** For how long the same key gets the same certificate again. */
const LOST_ANSWER_MS = 10 * 60_000

const FORM = /^rce_[A-Za-z0-9_-]{43}$/
export const tokenColumns = [
  'id',
  'device_id as deviceId',
  'group_name as group',
  'approval',
  'approval_if_held as approvalIfHeld',
  'made_within as madeWithin',
  'created_by as createdBy',
  'created_at as createdAt',
  'expires_at as expiresAt',
  'attempts',
  'revoked_at as revokedAt',
  'used_at as usedAt',
  'used_by as usedBy',
] as const

export function createEnrollmentTokenStore(registry: Registry, now: () => number): EnrollmentTokenStore {
  const lookup = (column: 'hash' | 'id') =>
    registry.sqlite.prepare<
      [string],
      TokenRow
    >(`SELECT id, device_id AS deviceId, group_name AS "group", approval, approval_if_held AS approvalIfHeld,
       made_within AS madeWithin,
       created_by AS createdBy, created_at AS createdAt, expires_at AS expiresAt, attempts, revoked_at AS revokedAt, used_at AS usedAt,
       used_by AS usedBy, spki_hash AS spkiHash, hash,
       (SELECT fingerprint FROM issuances i WHERE i.serial_number = t.serial_number) AS fingerprint
     FROM enrollment_tokens t WHERE ${column} = ?`)
  const byHash = lookup('hash')
  const byId = lookup('id')
  return {
    createEnrollmentToken: ({ bound, approval, approvalIfHeld, madeWithin, lifetimeMs }, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const deviceId = 'deviceId' in bound ? bound.deviceId : null
        const group = 'group' in bound ? bound.group : null
        if (deviceId !== null && (await stateOf(transaction, deviceId)) === 'decommissioned') {
          throw new Conflict('device_state_forbids', `device ${deviceId} is decommissioned`)
        }
        const token = `rce_${randomBytes(32).toString('base64url')}`
        const made = {
          id: randomUUID(),
          deviceId,
          group,
          approval,
          approvalIfHeld,
          madeWithin,
          createdAt: at,
          expiresAt: at + lifetimeMs,
        }
        await transaction
          .insertInto('enrollment_tokens')
          .values({
            id: made.id,
            hash: hashOf(token),
            device_id: deviceId,
            group_name: group,
            approval: approval ? 1 : 0,
            approval_if_held: approvalIfHeld ? 1 : 0,
            made_within: madeWithin,
            created_by: actor.name,
            created_at: at,
            expires_at: made.expiresAt,
            attempts: 0,
          })
          .execute()
        const detail = { deviceId, group, approval, expiresAt: made.expiresAt }
        await appendAudit(transaction, {
          at,
          actor,
          action: 'enrollment-token.create',
          target: made.id,
          detail,
        })
        const unused = { attempts: 0, revokedAt: null, usedAt: null, usedBy: null }
        return { ...made, ...unused, createdBy: actor.name, token }
      }),

    revokeEnrollmentToken: (id, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const { revokedAt } = await tokenOf(transaction, id)
        if (revokedAt !== null) return
        await transaction
          .updateTable('enrollment_tokens')
          .set({ revoked_at: at })
          .where('id', '=', id)
          .execute()
        await appendAudit(transaction, { at, actor, action: 'enrollment-token.revoke', target: id })
      }),

    presentedToken(token) {
      if (!FORM.test(token)) return null
      const hash = hashOf(token)
      const row = byHash.get(hash)
      // The index found it by hash; comparing again in constant time leaves nothing to time.
      if (row === undefined || !timingSafeEqual(Buffer.from(row.hash), Buffer.from(hash))) return null
      return presented(row)
    },

    knownToken(id) {
      const row = byId.get(id)
      return row === undefined ? null : presented(row)
    },

    countAttempt: id =>
      transact(registry, async transaction => {
        const counted = await transaction
          .updateTable('enrollment_tokens')
          .set(({ eb }) => ({ attempts: eb('attempts', '+', 1) }))
          .where('id', '=', id)
          .where('attempts', '<', ATTEMPTS_MAX)
          .executeTakeFirst()
        if (counted.numUpdatedRows === 0n) throw exhausted()
      }),

    uncountAttempt: id =>
      transact(registry, async transaction => {
        await transaction
          .updateTable('enrollment_tokens')
          .set(({ eb }) => ({ attempts: eb('attempts', '-', 1) }))
          .where('id', '=', id)
          .where('attempts', '>', 0)
          .execute()
      }),
  }
}

type TokenRow = Omit<PresentedToken, 'approval' | 'approvalIfHeld'> & {
  approval: number
  approvalIfHeld: number
  hash: string
}

function presented({ hash: _, ...row }: TokenRow): PresentedToken {
  return { ...row, approval: row.approval === 1, approvalIfHeld: row.approvalIfHeld === 1 }
}

/** What a token is used up for. */
type TokenUse = { id: string; spkiHash: string; deviceId: string; serialNumber: string }

/**
 * Uses a token up in the transaction that decides about a certificate; a device of a group is registered there too. The
 * same key may go on where nothing came of its first decision.
 */
export async function useTokenIn(
  transaction: Transaction<Schema>,
  use: TokenUse,
  actor: Actor,
  at: number,
): Promise<void> {
  const token = await tokenOf(transaction, use.id)
  if (token.revokedAt !== null) throw revoked()
  if (token.usedAt === null) {
    if (token.expiresAt <= at) throw expired()
    if (token.group !== null) {
      const device = { id: use.deviceId, attributes: {}, groups: [token.group] }
      await addDeviceIn(transaction, device, actor, at)
    }
  } else if (
    token.spkiHash !== use.spkiHash ||
    token.usedBy !== use.deviceId ||
    !mayAskAgain(token, at) ||
    (await wasMade(transaction, token.serialNumber))
  ) {
    throw used()
  }
  await transaction
    .updateTable('enrollment_tokens')
    .set({
      used_at: token.usedAt ?? at,
      used_by: use.deviceId,
      spki_hash: use.spkiHash,
      serial_number: use.serialNumber,
    })
    .where('id', '=', use.id)
    .execute()
  await appendAudit(transaction, {
    at,
    actor,
    action: 'enrollment-token.use',
    target: use.id,
    detail: { deviceId: use.deviceId, serialNumber: use.serialNumber },
  })
}

/** Whether a lost answer may still be asked for. What was never made may be asked for until the token itself ends. */
export function mayAskAgain(
  token: { usedAt: number | null; expiresAt: number; fingerprint?: string | null },
  at: number,
): boolean {
  const window = (token.usedAt ?? 0) + LOST_ANSWER_MS
  return at < (typeof token.fingerprint === 'string' ? window : Math.max(window, token.expiresAt))
}

export const revoked = () => new Conflict('enrollment_token_revoked', 'this token was revoked')
export const expired = () => new Conflict('enrollment_token_expired', 'this token has expired')
export const used = () =>
  new Conflict(
    'enrollment_token_used',
    'this token was used for another key or device, or too long ago to be asked again',
  )
export const exhausted = () =>
  new Conflict('enrollment_token_exhausted', `this token was presented ${ATTEMPTS_MAX} times in vain`)

async function tokenOf(transaction: Transaction<Schema>, id: string) {
  const row = await transaction
    .selectFrom('enrollment_tokens')
    .select([...tokenColumns, 'spki_hash as spkiHash', 'serial_number as serialNumber'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (row === undefined) throw new Conflict('enrollment_token_unknown', `there is no enrollment token ${id}`)
  return row
}

async function wasMade(transaction: Transaction<Schema>, serialNumber: string | null): Promise<boolean> {
  const row = await transaction
    .selectFrom('issuances')
    .select('fingerprint')
    .where('serial_number', '=', serialNumber ?? '')
    .executeTakeFirst()
  return row?.fingerprint != null
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
