// A device that registers itself under a trust anchor: device, certificate and the end of its waiting in one transaction,
// within the anchor's caps as they are then. What was never approved leaves no trace but audit rows.
import type { Transaction } from 'kysely'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import type { Actor } from '../audit/audit.ts'
import { isRevokedBy } from '../issuers/issuer-store.ts'
import { anchorIn } from '../issuers/trust-anchors.ts'
import type { Registry } from '../open.ts'
import { addDeviceIn } from '../roll/device-writer.ts'
import type { Schema } from '../schema.ts'
import { transact } from '../transact.ts'
import { listCertificateIn } from './certificate-writer.ts'

export type SelfRegistration = { der: Buffer; deviceId: string; issuerId: string }
/** `limited`: not now, since the rate is spent. */
export type SelfRegistered =
  | { mode: 'pending' | 'active' }
  | { refused: 'registration_off' | 'devices_exceeded' | 'certificate_revoked_by_issuer' | 'limited' }

type SelfRegistrar = {
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
