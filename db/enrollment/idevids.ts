// Enrollment with the identity a device was born with: which manufacturers it is switched on for, and which device came
// with which IDevID. Asked again in the transaction that decides about a certificate.
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { isRevokedBy } from '../issuers/issuer-store.ts'
import type { Registry } from '../open.ts'
import { addDeviceIn, stateOf } from '../roll/device-writer.ts'
import type { RegistrationMode, Schema } from '../schema.ts'
import { Conflict, transact } from '../transact.ts'

/** How devices of a trust anchor may enroll. */
type AnchorEnrollment = {
  /** `pending`: their certificates wait for an operator. */
  mode: RegistrationMode
  nameTemplate: string
  /** Where new devices go. */
  group: string | null
  devicesMax: number
}

/** With the number of devices so far, and the certificate that proved possession and identifies nobody. */
export type AnchorState = AnchorEnrollment & { devices: number; proofFingerprint: string | null }

/** An IDevID by fingerprint, with the serial number of its certificate. */
export type Idevid = { fingerprint: string; issuerId: string; serialNumber: string }

export type IdevidStore = {
  /** Switches enrollment on or off. Throws `possession_unproven` where nobody proved to hold the CA's key. */
  setAnchorEnrollment(issuerId: string, settings: AnchorEnrollment, actor: Actor): Promise<void>
  /** As it is set; before anybody set anything that is `off`. Synchronous: asked on every request. */
  anchorEnrollment(issuerId: string): AnchorState
  /** The device that came with this IDevID. */
  deviceOfIdevid(fingerprint: string): string | null
}

const OFF = {
  mode: 'off',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is filled in where a device is named
  nameTemplate: '${subject.serialNumber}',
  group: null,
  devicesMax: 1_000,
  devices: 0,
  proofFingerprint: null,
} as const

export function createIdevidStore(registry: Registry, now: () => number): IdevidStore {
  const enrollment = registry.sqlite.prepare<[string], AnchorState>(
    `SELECT mode, e.name_template AS nameTemplate, group_name AS "group", e.devices_max AS devicesMax, devices,
       proof_fingerprint AS proofFingerprint
     FROM anchor_enrollments e JOIN trust_anchors a USING (issuer_id) WHERE issuer_id = ?`,
  )
  const device = registry.sqlite
    .prepare<[string], string>('SELECT device_id FROM idevids WHERE fingerprint = ?')
    .pluck()
  return {
    setAnchorEnrollment: (issuerId, settings, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const anchor = await transaction
          .selectFrom('trust_anchors')
          .select('proven_at')
          .where('issuer_id', '=', issuerId)
          .executeTakeFirst()
        if (anchor === undefined) throw new Conflict('issuer_unknown', `no trust anchor ${issuerId}`)
        if (settings.mode !== 'off' && anchor.proven_at === null) {
          throw new Conflict(
            'possession_unproven',
            'nobody has proved to hold the key of this CA: take a challenge and have the CA sign it',
          )
        }
        const { mode, nameTemplate, group, devicesMax } = settings
        const row = { mode, name_template: nameTemplate, group_name: group, devices_max: devicesMax }
        await transaction
          .insertInto('anchor_enrollments')
          .values({ issuer_id: issuerId, ...row })
          .onConflict(conflict => conflict.column('issuer_id').doUpdateSet(row))
          .execute()
        const detail = { mode, nameTemplate, group, devicesMax }
        await appendAudit(transaction, { at, actor, action: 'issuer.enrollment', target: issuerId, detail })
      }),

    anchorEnrollment: issuerId => enrollment.get(issuerId) ?? OFF,
    deviceOfIdevid: fingerprint => device.get(fingerprint) ?? null,
  }
}

/**
 * Registers the device that an IDevID enrolls, or lets the same IDevID enroll its device again: it is born with it, and may
 * have lost the rest. In the transaction that decides about its certificate.
 */
export async function useIdevidIn(
  transaction: Transaction<Schema>,
  { fingerprint, issuerId, serialNumber, deviceId }: Idevid & { deviceId: string },
  actor: Actor,
  at: number,
): Promise<void> {
  const anchor = await transaction
    .selectFrom('anchor_enrollments')
    .select(['mode', 'group_name as group', 'devices', 'devices_max as devicesMax'])
    .where('issuer_id', '=', issuerId)
    .executeTakeFirst()
  if (anchor === undefined || anchor.mode === 'off') {
    throw new Conflict('idevid_refused', 'enrollment under its issuer is switched off')
  }
  if (await isRevokedBy(transaction, issuerId, serialNumber)) {
    throw new Conflict('idevid_refused', 'the CRL of its issuer lists it')
  }
  const known = await transaction
    .selectFrom('idevids')
    .select('device_id')
    .where('fingerprint', '=', fingerprint)
    .executeTakeFirst()
  if (known !== undefined) {
    if (known.device_id !== deviceId) {
      throw new Conflict('idevid_refused', `it belongs to the device ${known.device_id}`)
    }
    await transaction
      .updateTable('idevids')
      .set({ serial_number: serialNumber })
      .where('fingerprint', '=', fingerprint)
      .where('serial_number', 'is', null)
      .execute()
    const state = await stateOf(transaction, deviceId)
    if (state === 'registered' || state === 'active') return
    throw new Conflict('device_state_forbids', `device ${deviceId} is ${state}: an operator lets it in again`)
  }
  if (anchor.devices >= anchor.devicesMax) {
    throw new Conflict('claim_exceeded', `${anchor.devices} devices enrolled under this CA, as many as may`)
  }
  const groups = anchor.group === null ? [] : [anchor.group]
  await addDeviceIn(transaction, { id: deviceId, attributes: {}, groups }, actor, at)
  await transaction
    .insertInto('idevids')
    .values({
      ...{ fingerprint, issuer_id: issuerId, device_id: deviceId },
      ...{ enrolled_at: at, serial_number: serialNumber },
    })
    .execute()
  await transaction
    .updateTable('anchor_enrollments')
    .set({ devices: anchor.devices + 1 })
    .where('issuer_id', '=', issuerId)
    .execute()
}
