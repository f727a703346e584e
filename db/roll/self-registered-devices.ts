// Devices that registered themselves, and whose certificate nobody approved: they leave no trace but audit rows.
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import type { Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'

/** Takes off the roll a device that registered itself with a certificate nobody approved, so that it may come again. */
export async function forgetSelfRegistered(
  transaction: Transaction<Schema>,
  { fingerprint, deviceId }: { fingerprint: string; deviceId: string },
  actor: Actor,
  at: number,
): Promise<void> {
  const removed = await transaction
    .deleteFrom('auto_registrations')
    .where('fingerprint', '=', fingerprint)
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
  if (removed.numDeletedRows === 0n) return
  const others = await transaction
    .selectFrom('certificates')
    .select('fingerprint')
    .where('device_id', '=', deviceId)
    .limit(1)
    .execute()
  const device = await transaction
    .selectFrom('devices')
    .select('state')
    .where('id', '=', deviceId)
    .executeTakeFirst()
  // An operator made it a device like any other meanwhile: its groups and policies must not wait for the next device of that name.
  const isCaredFor = (await rowsOf(transaction, caredForSql, deviceId, deviceId, deviceId)).length > 0
  if (others.length > 0 || device?.state !== 'registered' || isCaredFor) return
  await transaction.deleteFrom('device_groups').where('device_id', '=', deviceId).execute()
  await transaction.deleteFrom('public_keys').where('device_id', '=', deviceId).execute()
  await transaction.deleteFrom('devices').where('id', '=', deviceId).execute()
  await appendAudit(transaction, { at, actor, action: 'device.forget', target: deviceId })
}

const caredForSql = `SELECT 1 FROM policy_attachments WHERE kind = 'device' AND target = ?
  UNION ALL SELECT 1 FROM device_groups WHERE device_id = ?
  UNION ALL SELECT 1 FROM enrollment_tokens WHERE device_id = ? AND revoked_at IS NULL LIMIT 1`
