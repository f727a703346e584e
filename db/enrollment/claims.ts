// Claim certificates: what they may enroll, how many, and which they have. They are on no roll and admit nobody.
// A claim is asked here again in the transaction that decides about a device's certificate.
import { randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { assertMayIssue } from '../issuers/may-issue.ts'
import { assertNoClaimKey, assertNoOperatorKey } from '../keys/key-owners.ts'
import { assertNotCompromised, assertNotRetired } from '../keys/public-keys.ts'
import type { Registry } from '../open.ts'
import { hasRightsBeyond } from '../roll/approval.ts'
import { addDeviceIn, stateOf } from '../roll/device-writer.ts'
import type { Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'
import { Conflict, transact, transactUrgently } from '../transact.ts'

/** Times in ms since the epoch. `fingerprint` is null for a claim whose certificate was never made. */
export type Claim = {
  id: string
  name: string
  /** Where the devices go that it enrolls. */
  group: string | null
  quota: number
  /** How many devices it has enrolled. */
  claimed: number
  /** Whether only named devices may be claimed. */
  allowlisted: boolean
  /** Whether the certificates that it gets wait for an operator. */
  approval: boolean
  notBefore: number
  notAfter: number
  createdBy: string
  createdAt: number
  revokedAt: number | null
  fingerprint: string | null
  spkiHash: string
  issuerId: string
}

type ClaimIntent = {
  name: string
  group: string | null
  quota: number
  /** The devices that may be claimed; null for any. */
  allowlist: string[] | null
  approval: boolean
  issuerId: string
  serialNumber: string
  spkiHash: string
  notBefore: number
  notAfter: number
}

export type ClaimStore = {
  /** Puts on record what will be signed; gives the ID. */
  intendClaim(intent: ClaimIntent, actor: Actor): Promise<string>
  /** Keeps the certificate that came of it; gives its fingerprint. */
  keepClaim(id: string, der: Buffer, actor: Actor): Promise<string>
  /** From then on it enrolls nobody; what it enrolled stays. Again changes nothing. */
  revokeClaim(id: string, actor: Actor): Promise<void>
  /** The claim that shows this certificate, as it stands. Synchronous: asked on every request. */
  claimOf(fingerprint: string): Claim | null
  /** The same by the ID of a claim, for a caller that has proved in another way that it holds it. */
  knownClaim(id: string): Claim | null
  isClaimed(id: string, deviceId: string): boolean
}

export const claimColumns = `id, name, group_name AS "group", quota, allowlisted, approval, not_before AS notBefore,
  not_after AS notAfter, created_by AS createdBy, created_at AS createdAt, revoked_at AS revokedAt, fingerprint,
  spki_hash AS spkiHash, issuer_id AS issuerId, claimed`

export type ClaimRow = Omit<Claim, 'approval' | 'allowlisted'> & { approval: number; allowlisted: number }

export function toClaim(row: ClaimRow): Claim {
  return { ...row, approval: row.approval === 1, allowlisted: row.allowlisted === 1 }
}

export function createClaimStore(registry: Registry, now: () => number): ClaimStore {
  const byFingerprint = registry.sqlite.prepare<[string], ClaimRow>(
    `SELECT ${claimColumns} FROM claims WHERE fingerprint = ?`,
  )
  const byId = registry.sqlite.prepare<[string], ClaimRow>(`SELECT ${claimColumns} FROM claims WHERE id = ?`)
  const claimed = registry.sqlite.prepare<[string, string], unknown>(
    'SELECT 1 FROM claimed_devices WHERE claim_id = ? AND device_id = ?',
  )
  return {
    isClaimed: (id, deviceId) => claimed.get(id, deviceId) !== undefined,

    intendClaim: ({ allowlist, ...intent }, actor) =>
      transact(registry, async transaction => {
        const at = now()
        await assertMayIssue(transaction, intent.issuerId)
        await abandonUnsigned(transaction, intent.spkiHash, actor, at)
        await assertKeyIsNew(transaction, intent.spkiHash)
        const id = randomUUID()
        await transaction
          .insertInto('claims')
          .values({
            id,
            name: intent.name,
            group_name: intent.group,
            quota: intent.quota,
            allowlisted: allowlist === null ? 0 : 1,
            approval: intent.approval ? 1 : 0,
            issuer_id: intent.issuerId,
            serial_number: intent.serialNumber,
            spki_hash: intent.spkiHash,
            not_before: intent.notBefore,
            not_after: intent.notAfter,
            created_by: actor.name,
            created_at: at,
          })
          .execute()
        for (const deviceId of allowlist ?? []) {
          const named = { claim_id: id, device_id: deviceId }
          await transaction.insertInto('claim_allowlist').values(named).execute()
        }
        const { name, group, quota, approval, notAfter } = intent
        const detail = { name, group, quota, approval, notAfter, allowlist: allowlist?.length ?? null }
        await appendAudit(transaction, { at, actor, action: 'claim.create', target: id, detail })
        return id
      }),

    keepClaim: (id, der, actor) =>
      transact(registry, async transaction => {
        const fingerprint = fingerprintOf(der)
        const kept = await transaction
          .updateTable('claims')
          .set({ fingerprint, der })
          .where('id', '=', id)
          .where('fingerprint', 'is', null)
          .executeTakeFirst()
        if (kept.numUpdatedRows !== 1n) throw new Error(`no open claim ${id}`)
        const detail = { fingerprint }
        await appendAudit(transaction, { at: now(), actor, action: 'claim.sign', target: id, detail })
        return fingerprint
      }),

    revokeClaim: (id, actor) =>
      transactUrgently(registry, async transaction => {
        const at = now()
        if ((await claimIn(transaction, id)).revoked_at !== null) return
        await transaction.updateTable('claims').set({ revoked_at: at }).where('id', '=', id).execute()
        await appendAudit(transaction, { at, actor, action: 'claim.revoke', target: id })
      }),

    claimOf(fingerprint) {
      const row = byFingerprint.get(fingerprint)
      return row === undefined ? null : toClaim(row)
    },

    knownClaim(id) {
      const row = byId.get(id)
      return row === undefined ? null : toClaim(row)
    },
  }
}

/** Why a claim opens nothing at all now, or null. */
export function claimFault(claim: { revokedAt: number | null; notAfter: number }, at: number): string | null {
  if (claim.revokedAt !== null) return 'the claim certificate was revoked'
  return claim.notAfter <= at ? 'the claim certificate has expired' : null
}

/**
 * Registers the device that a claim enrolls, or lets it try again as long as it never connected, in the transaction that
 * decides about its certificate.
 */
export async function useClaimIn(
  transaction: Transaction<Schema>,
  use: { id: string; deviceId: string },
  actor: Actor,
  at: number,
): Promise<void> {
  const claim = await claimIn(transaction, use.id)
  const fault = claimFault({ revokedAt: claim.revoked_at, notAfter: claim.not_after }, at)
  if (fault !== null) throw new Conflict('claim_refused', fault)
  const member = { claim_id: use.id, device_id: use.deviceId }
  if (await isMember(transaction, 'claimed_devices', member)) {
    const state = await stateOf(transaction, use.deviceId)
    if (state !== 'registered') {
      const message = `device ${use.deviceId} is ${state}: it cannot be claimed again`
      throw new Conflict('device_state_forbids', message)
    }
    await assertAsItLeftIt(transaction, use.deviceId, claim)
    return
  }
  if (claim.allowlisted === 1 && !(await isMember(transaction, 'claim_allowlist', member))) {
    throw new Conflict('claim_device_forbidden', `the claim does not name the device ${use.deviceId}`)
  }
  if (claim.claimed >= claim.quota) {
    throw new Conflict('claim_exceeded', `the claim has enrolled ${claim.claimed} devices, as many as it may`)
  }
  const groups = claim.group_name === null ? [] : [claim.group_name]
  await addDeviceIn(transaction, { id: use.deviceId, attributes: {}, groups }, actor, at)
  await transaction
    .insertInto('claimed_devices')
    .values({ ...member, claimed_at: at })
    .execute()
  await transaction
    .updateTable('claims')
    .set({ claimed: claim.claimed + 1 })
    .where('id', '=', use.id)
    .execute()
}

/** All devices of a batch have the key of its claim: the claim does not cover what an operator gave one of them since. */
async function assertAsItLeftIt(
  transaction: Transaction<Schema>,
  deviceId: string,
  claim: { group_name: string | null; fingerprint: string | null },
): Promise<void> {
  const others = await rowsOf(transaction, certifiedOtherwiseSql, deviceId, claim.fingerprint)
  const isRicher = await hasRightsBeyond(transaction, deviceId, claim.group_name ?? '')
  if (others.length === 0 && !isRicher) return
  throw new Conflict(
    'claim_device_forbidden',
    `an operator has ${isRicher ? 'given rights to' : 'certified'} the device ${deviceId} since it was claimed: ask him`,
  )
}

const certifiedOtherwiseSql = `SELECT 1 FROM certificates c WHERE c.device_id = ?
  AND c.status IN ('pending', 'issued', 'active', 'superseded', 'suspended')
  AND NOT EXISTS (SELECT 1 FROM certificate_lineage l WHERE l.fingerprint = c.fingerprint AND l.authenticated_by = ?)`

async function isMember(
  transaction: Transaction<Schema>,
  table: 'claimed_devices' | 'claim_allowlist',
  member: { claim_id: string; device_id: string },
): Promise<boolean> {
  const found = await transaction
    .selectFrom(table)
    .select('device_id')
    .where('claim_id', '=', member.claim_id)
    .where('device_id', '=', member.device_id)
    .executeTakeFirst()
  return found !== undefined
}

/** A crash came between deciding and signing: nobody has that certificate, and its key may be asked for again. */
async function abandonUnsigned(
  transaction: Transaction<Schema>,
  spkiHash: string,
  actor: Actor,
  at: number,
): Promise<void> {
  const unsigned = await transaction
    .selectFrom('claims')
    .select(['id', 'serial_number as serialNumber'])
    .where('spki_hash', '=', spkiHash)
    .where('fingerprint', 'is', null)
    .executeTakeFirst()
  if (unsigned === undefined) return
  const { id, serialNumber } = unsigned
  await transaction.deleteFrom('claim_allowlist').where('claim_id', '=', id).execute()
  await transaction.deleteFrom('claims').where('id', '=', id).execute()
  await appendAudit(transaction, { at, actor, action: 'claim.abandon', target: id, detail: { serialNumber } })
}

async function assertKeyIsNew(transaction: Transaction<Schema>, spkiHash: string): Promise<void> {
  await assertNoClaimKey(transaction, spkiHash)
  await assertNoOperatorKey(transaction, spkiHash)
  await assertNotCompromised(transaction, spkiHash)
  await assertNotRetired(transaction, spkiHash)
  const device = await transaction
    .selectFrom('public_keys')
    .select('device_id')
    .where('spki_hash', '=', spkiHash)
    .executeTakeFirst()
  if (device !== undefined) {
    throw new Conflict('public_key_taken', 'this public key belongs to a device: generate a new key pair')
  }
}

async function claimIn(transaction: Transaction<Schema>, id: string) {
  const row = await transaction.selectFrom('claims').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) throw new Conflict('claim_unknown', `there is no claim ${id}`)
  return row
}
