// What an import asks of the record before it decides about a row: the device, the owner of a key, the device's certificates.
// Reads only; asked anew for every row, and asked again by the verb that writes.
import type { Registry } from '../open.ts'
import type { DeviceState } from '../schema.ts'

export type KnownDevice = { state: DeviceState; attributes: Record<string, string>; groups: string[] }

export type ImportLookup = {
  device(id: string): KnownDevice | null
  /** The device that a public key belongs to. */
  ownerOf(spkiHash: string): string | null
  /** The device whose certificate this is. */
  holderOf(fingerprint: string): string | null
  /** The newest certificate that our CAs issued the device for this key and that is not at its end. */
  issuedFor(deviceId: string, spkiHash: string, at: number): string | null
  /** The device that an endorsement key is on record for, and the key of a device, as it is on the operator's list. */
  deviceOfEndorsementKey(hash: string): string | null
  endorsementKeyOf(deviceId: string): string | null
  /** How many certificates admit the device now. */
  admitting(deviceId: string, at: number): number
}

export function prepareImportLookup({ sqlite }: Registry): ImportLookup {
  const device = sqlite.prepare<[string], { state: DeviceState; attributes: string; groups: string }>(
    `SELECT state, attributes, (SELECT json_group_array(name) FROM device_groups WHERE device_id = devices.id) AS groups
     FROM devices WHERE id = ?`,
  )
  const owner = sqlite
    .prepare<[{ key: string }], string>(
      `SELECT device_id FROM public_keys WHERE spki_hash = @key
       UNION ALL SELECT 'a deleted device' FROM retired_keys WHERE spki_hash = @key`,
    )
    .pluck()
  const holder = sqlite
    .prepare<[string], string>('SELECT device_id FROM certificates WHERE fingerprint = ?')
    .pluck()
  const issued = sqlite
    .prepare<[string, string, number], string>(
      `SELECT fingerprint FROM certificates
       WHERE device_id = ? AND spki_hash = ? AND not_after > ?
         AND status IN ('pending', 'issued', 'active', 'superseded', 'suspended')
         AND issuer_id IN (SELECT id FROM issuers WHERE kind = 'issuing')
       ORDER BY rowid DESC LIMIT 1`,
    )
    .pluck()
  const admitting = sqlite
    .prepare<[string, number, number], number>(
      `SELECT count(*) FROM certificates WHERE device_id = ? AND not_after > ?
         AND (status IN ('issued', 'active') OR (status = 'superseded' AND grace_until > ?))
         AND (issuer_id IS NULL OR issuer_id IN (SELECT id FROM issuers WHERE enabled = 1))`,
    )
    .pluck()
  const ofKey = sqlite
    .prepare<[string], string>('SELECT device_id FROM endorsement_keys WHERE ek_hash = ?')
    .pluck()
  const keyOf = sqlite
    .prepare<[string], string>('SELECT ek_hash FROM endorsement_keys WHERE device_id = ?')
    .pluck()
  return {
    deviceOfEndorsementKey: hash => ofKey.get(hash) ?? null,
    endorsementKeyOf: deviceId => keyOf.get(deviceId) ?? null,
    device(id) {
      const row = device.get(id)
      if (row === undefined) return null
      return { state: row.state, attributes: JSON.parse(row.attributes), groups: JSON.parse(row.groups) }
    },
    ownerOf: spkiHash => owner.get({ key: spkiHash }) ?? null,
    holderOf: fingerprint => holder.get(fingerprint) ?? null,
    issuedFor: (deviceId, spkiHash, at) => issued.get(deviceId, spkiHash, at) ?? null,
    admitting: (deviceId, at) => admitting.get(deviceId, at, at) ?? 0,
  }
}
