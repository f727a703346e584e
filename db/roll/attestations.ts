// Attestations: which certificates were issued for a key that a TPM proved to hold, and what was proven.
import type { Database } from 'better-sqlite3'
import type { Transaction } from 'kysely'
import type { Schema } from '../schema.ts'
import type { Voucher } from '../schema-tpm.ts'
import { insert } from '../statement.ts'

/** `ekHash` is the SHA-256 of the endorsement key's SubjectPublicKeyInfo, `keyName` the Name of the certified key, both hex. */
export type Attestation = { session: string; ekHash: string; keyName: string; keyAttributes: number }

/** Of a certificate: what a TPM proved. `provenAt` in ms since the epoch; `attested` as policies read it. */
export type ShownAttestation = {
  fingerprint: string
  endorsementKey: string
  keyName: string
  keyAttributes: number
  provenAt: number
  attested: boolean
}

export async function recordAttestation(
  transaction: Transaction<Schema>,
  { ekHash, keyName, keyAttributes }: Attestation,
  certificate: { fingerprint: string; deviceId: string; serialNumber: string },
  at: number,
): Promise<void> {
  const { fingerprint, deviceId, serialNumber } = certificate
  await insert(transaction, 'attestations', {
    fingerprint,
    device_id: deviceId,
    serial_number: serialNumber,
    ek_hash: ekHash,
    key_name: keyName,
    key_attributes: keyAttributes,
    proven_at: at,
  })
}

/** What vouches for the TPM well enough: a token alone says that the device was meant, not that it has one. */
const vouchersThatAttest: readonly Voucher[] = ['operator', 'maker', 'nobody']
const vouchedFor = `e.vouched_by IN (${vouchersThatAttest.map(voucher => `'${voucher}'`).join(', ')})`
const holds = `EXISTS (SELECT 1 FROM endorsement_keys e WHERE e.ek_hash = a.ek_hash AND e.device_id = a.device_id AND ${vouchedFor})`

/**
 * Whether the certificate of this serial number holds a key that a TPM proved, of a TPM that more than a token vouches for. The same
 * question for all that a device does: asked when its policies are bound.
 */
export function prepareAttested(sqlite: Database): (deviceId: string, serialNumber: string) => boolean {
  // Point look-ups, the second one for the few that have an attestation: SQLite with STAT4 plans a sub-select anew for every bound value.
  const endorsementKeys = sqlite
    .prepare<[string, string], string>(
      'SELECT ek_hash FROM attestations WHERE device_id = ? AND serial_number = ?',
    )
    .pluck()
  const vouched = sqlite.prepare<[string, string], 1>(
    `SELECT 1 FROM endorsement_keys e WHERE e.ek_hash = ? AND e.device_id = ? AND ${vouchedFor}`,
  )
  return (deviceId, serialNumber) =>
    endorsementKeys
      .all(deviceId, serialNumber)
      .some(endorsementKey => vouched.get(endorsementKey, deviceId) !== undefined)
}

/** The attestations of a device, the newest first. */
export function prepareAttestations(
  sqlite: Database,
): (deviceId: string, limit: number) => ShownAttestation[] {
  const all = sqlite.prepare<[string, number], Omit<ShownAttestation, 'attested'> & { attested: number }>(
    `SELECT fingerprint, ek_hash AS endorsementKey, key_name AS keyName, key_attributes AS keyAttributes, proven_at AS provenAt,
       ${holds} AS attested
     FROM attestations a WHERE device_id = ? ORDER BY proven_at DESC, fingerprint LIMIT ?`,
  )
  return (deviceId, limit) =>
    all.all(deviceId, limit).map(({ attested, ...row }) => ({ ...row, attested: attested === 1 }))
}
