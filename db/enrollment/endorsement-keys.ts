// Endorsement keys: the TPM that a device is, what vouches for it, and which manufacturers are trusted. Asked again in the transaction that
// decides about a certificate.
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import { stateOf } from '../roll/device-writer.ts'
import type { RegistrationMode, Schema } from '../schema.ts'
import type { Voucher } from '../schema-tpm.ts'
import { insert, rowsOf, run } from '../statement.ts'
import { Conflict, transact } from '../transact.ts'

export type { Voucher } from '../schema-tpm.ts'

/** Devices of a manufacturer of TPMs. */
export type TpmAnchor = {
  /** `pending`: their certificates wait for an operator. */
  mode: RegistrationMode
  /** Where new devices go. */
  group: string | null
  devicesMax: number
}

/** What an endorsement certificate says of the TPM (TCG EK Credential Profile 2.5, §3.1.2); null where there is none. */
export type TpmModel = { maker: string | null; model: string | null; version: string | null }

/** `hash` is the SHA-256 of its SubjectPublicKeyInfo, hex. Times in ms since the epoch. */
export type EndorsementKey = TpmModel & {
  hash: string
  deviceId: string
  vouchedBy: Voucher
  issuerId: string | null
  recordedAt: number
}

export type EndorsementKeyStore = {
  /** Says whether endorsement keys under this CA are trusted. */
  setTpmAnchor(issuerId: string, settings: TpmAnchor, actor: Actor): Promise<void>
  /** As it is set; before anybody set anything that is `off`. Synchronous: asked on every request. */
  tpmAnchor(issuerId: string): TpmAnchor & { devices: number }
  endorsementKey(hash: string): EndorsementKey | null
  /** That of a device. */
  endorsementKeyOf(deviceId: string): EndorsementKey | null
  /** Whether a certificate was issued by the proof of the TPM with this endorsement key. */
  isAttestedBy(fingerprint: string, hash: string): boolean
  /**
   * Puts the endorsement key of a device on the operator's list, in place of any other; null takes it off the record.
   * @throws {Conflict} `endorsement_key_taken`
   */
  setEndorsementKey(deviceId: string, hash: string | null, actor: Actor): Promise<void>
}

const OFF = { mode: 'off', group: null, devicesMax: 1_000, devices: 0 } as const
const columns = `ek_hash AS hash, device_id AS deviceId, vouched_by AS vouchedBy, issuer_id AS issuerId, maker, model, version,
  recorded_at AS recordedAt`

export function createEndorsementKeyStore(registry: Registry, now: () => number): EndorsementKeyStore {
  const anchor = registry.sqlite.prepare<[string], TpmAnchor & { devices: number }>(
    'SELECT mode, group_name AS "group", devices_max AS devicesMax, devices FROM tpm_anchors WHERE issuer_id = ?',
  )
  const byHash = registry.sqlite.prepare<[string], EndorsementKey>(
    `SELECT ${columns} FROM endorsement_keys WHERE ek_hash = ?`,
  )
  const attested = registry.sqlite.prepare<[string, string], 1>(
    'SELECT 1 FROM attestations WHERE fingerprint = ? AND ek_hash = ?',
  )
  const byDevice = registry.sqlite.prepare<[string], EndorsementKey>(
    `SELECT ${columns} FROM endorsement_keys WHERE device_id = ?`,
  )
  return {
    setTpmAnchor: (issuerId, settings, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const { mode, group, devicesMax } = settings
        const [known] = await rowsOf(transaction, 'SELECT 1 FROM trust_anchors WHERE issuer_id = ?', issuerId)
        if (known === undefined) throw new Conflict('issuer_unknown', `no trust anchor ${issuerId}`)
        const row = { mode, group_name: group, devices_max: devicesMax }
        await transaction
          .insertInto('tpm_anchors')
          .values({ issuer_id: issuerId, ...row })
          .onConflict(conflict => conflict.column('issuer_id').doUpdateSet(row))
          .execute()
        const detail = { mode, group, devicesMax }
        await appendAudit(transaction, { at, actor, action: 'issuer.tpm', target: issuerId, detail })
      }),

    tpmAnchor: issuerId => anchor.get(issuerId) ?? OFF,
    endorsementKey: hash => byHash.get(hash) ?? null,
    endorsementKeyOf: deviceId => byDevice.get(deviceId) ?? null,
    isAttestedBy: (fingerprint, hash) => attested.get(fingerprint, hash) !== undefined,

    setEndorsementKey: (deviceId, hash, actor) =>
      transact(registry, async transaction => {
        await stateOf(transaction, deviceId)
        const at = now()
        const held = await keyOf(transaction, 'device_id', deviceId)
        if (held?.hash === hash && held.vouchedBy === 'operator') return
        if (hash !== null) await assertFree(transaction, hash, deviceId)
        if (held?.hash === hash) {
          await vouch(transaction, hash!, 'operator', held)
        } else {
          await run(transaction, 'DELETE FROM endorsement_keys WHERE device_id = ?', deviceId)
          if (hash !== null)
            await insertKey(
              transaction,
              { ...unknownModel, hash, deviceId, vouchedBy: 'operator', issuerId: null },
              at,
            )
        }
        // What is attested is a right.
        await appendChange(transaction, { kind: 'policy', at, deviceId })
        const detail = { endorsementKey: hash, before: held?.hash ?? null }
        await appendAudit(transaction, {
          at,
          actor,
          action: 'device.endorsement-key',
          target: deviceId,
          detail,
        })
      }),
  }
}

const unknownModel: TpmModel = { maker: null, model: null, version: null }

/** Records what vouches for a key, and what its certificate said. */
export async function vouch(
  transaction: Transaction<Schema>,
  hash: string,
  vouchedBy: Voucher,
  { maker, model, version, issuerId }: TpmModel & { issuerId: string | null },
): Promise<void> {
  const sql =
    'UPDATE endorsement_keys SET vouched_by = ?, maker = ?, model = ?, version = ?, issuer_id = ? WHERE ek_hash = ?'
  await run(transaction, sql, vouchedBy, maker, model, version, issuerId, hash)
}

export async function insertKey(
  transaction: Transaction<Schema>,
  { hash, deviceId, vouchedBy, issuerId, maker, model, version }: Omit<EndorsementKey, 'recordedAt'>,
  at: number,
): Promise<void> {
  const row = { ek_hash: hash, device_id: deviceId, vouched_by: vouchedBy, issuer_id: issuerId }
  await insert(transaction, 'endorsement_keys', { ...row, maker, model, version, recorded_at: at })
}

/** Throws where it is the key of another device. */
export async function assertFree(
  transaction: Transaction<Schema>,
  hash: string,
  deviceId: string,
): Promise<void> {
  const owner = (await keyOf(transaction, 'ek_hash', hash))?.deviceId
  if (owner !== undefined && owner !== deviceId)
    throw new Conflict('endorsement_key_taken', `this endorsement key is that of the device ${owner}`)
}

export async function keyOf(
  transaction: Transaction<Schema>,
  column: 'ek_hash' | 'device_id',
  value: string,
): Promise<EndorsementKey | undefined> {
  const [row] = await rowsOf<EndorsementKey>(
    transaction,
    `SELECT ${columns} FROM endorsement_keys WHERE ${column} = ?`,
    value,
  )
  return row
}
