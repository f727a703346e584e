// A device that registers itself under a trust anchor: device, certificate and the end of its waiting in one transaction,
// within the anchor's caps as they are then. What was never approved leaves no trace but audit rows.
import type { Transaction } from 'kysely'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import type { Registry } from '../open.ts'
import { listCertificateIn } from '../roll/certificate-writer.ts'
import { addDeviceIn } from '../roll/device-writer.ts'
import type { Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'
import { transact } from '../transact.ts'
import { isRevokedBy } from './issuer-store.ts'
import { anchorIn } from './trust-anchors.ts'

export type SelfRegistration = { der: Buffer; deviceId: string; issuerId: string }
/** `limited`: not now, since the rate is spent. */
export type SelfRegistered =
  | { mode: 'pending' | 'active' }
  | { refused: 'registration_off' | 'devices_exceeded' | 'certificate_revoked_by_issuer' | 'limited' }

export type SelfRegistrar = {
  /** Throws a Conflict where device, certificate or key is on record already: nothing is attached to what is there. */
  registerArrival(registration: SelfRegistration, actor: Actor): Promise<SelfRegistered>
}

const MINUTE_MS = 60_000

export function createSelfRegistrar(registry: Registry, now: () => number): SelfRegistrar {
  return {
    registerArrival: ({ der, deviceId, issuerId }, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const anchor = await anchorIn(transaction, issuerId)
        const { registration: mode } = anchor
        if (mode === 'off') return { refused: 'registration_off' }
        const { fingerprint, serialNumber } = certificateFacts(der)
        if (await isRevokedBy(transaction, issuerId, serialNumber)) {
          return { refused: 'certificate_revoked_by_issuer' }
        }
        if ((await countSince(transaction, issuerId, 0)) >= anchor.devices_max) {
          return { refused: 'devices_exceeded' }
        }
        if ((await countSince(transaction, issuerId, at - MINUTE_MS)) >= anchor.per_minute_max) {
          return { refused: 'limited' }
        }
        await addDeviceIn(transaction, { id: deviceId, attributes: {}, groups: [] }, actor, at)
        await listCertificateIn(
          transaction,
          {
            der,
            deviceId,
            issuerId,
            trust: 'chained',
            status: mode === 'pending' ? 'pending' : 'issued',
            action: 'certificate.register',
          },
          actor,
          at,
        )
        await transaction
          .insertInto('auto_registrations')
          .values({ device_id: deviceId, issuer_id: issuerId, fingerprint, at })
          .execute()
        await transaction.deleteFrom('arrivals').where('fingerprint', '=', fingerprint).execute()
        return { mode }
      }),
  }
}

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
  // Somebody made it a device like any other meanwhile: what he gave it must not wait for the next who comes by its name.
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

async function countSince(
  transaction: Transaction<Schema>,
  issuerId: string,
  since: number,
): Promise<number> {
  const { count } = await transaction
    .selectFrom('auto_registrations')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('issuer_id', '=', issuerId)
    .where('at', '>', since)
    .executeTakeFirstOrThrow()
  return count
}
