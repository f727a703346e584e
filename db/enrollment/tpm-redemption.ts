// The proof of a TPM, used up in the transaction that decides about a certificate: what is on record of the exchange, and which device the
// TPM is.
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import { isRevokedBy } from '../issuers/issuer-store.ts'
import { addDeviceIn, stateOf } from '../roll/device-writer.ts'
import type { Schema } from '../schema.ts'
import type { Voucher } from '../schema-tpm.ts'
import { rowsOf, run } from '../statement.ts'
import { Conflict } from '../transact.ts'
import {
  type EndorsementKey,
  insertKey,
  keyOf,
  type TpmAnchor,
  type TpmModel,
  vouch,
} from './endorsement-keys.ts'

/** The proof of a TPM, used up in the transaction that decides about a certificate. */
export type TpmUse = {
  /** The exchange, in all of its audit rows. */
  session: string
  ekHash: string
  model: TpmModel
  /** The endorsement certificate under a trusted manufacturer; null where none was shown that holds. */
  certificate: { issuerId: string; serialNumber: string } | null
  /** What vouched for the endorsement key when the challenge was made; asked again when it is used. */
  vouchedBy: Voucher
  /** Whether its certificate waits for an operator. */
  approval: boolean
  key: { name: string; attributes: number; attributeNames: readonly string[] }
  challenge: { at: number; requestId: string }
  /** Where another key was proven meanwhile with the same endorsement key: the address of that request, and of this one. */
  cloned: readonly string[] | null
}

/** Devices at once that nothing vouches for. */
const UNKNOWN_MAX = 1_000

/**
 * Records challenge and activation, and registers the device of a new endorsement key. `byToken` where an enrollment token named the
 * device, which then is on record.
 * @throws {Conflict} `tpm_refused`, `device_state_forbids`, `endorsement_key_taken`, `claim_exceeded`
 */
export async function useTpmIn(
  transaction: Transaction<Schema>,
  use: TpmUse,
  { deviceId, serialNumber, byToken }: { deviceId: string; serialNumber: string; byToken: boolean },
  actor: Actor,
  at: number,
): Promise<void> {
  await recordExchange(transaction, use, { deviceId, serialNumber }, actor, at)
  const known = await keyOf(transaction, 'ek_hash', use.ekHash)
  if (use.certificate !== null) await assertMakerHolds(transaction, use.certificate, use)
  assertStillVouched(use, known, byToken)
  if (known !== undefined) {
    if (known.deviceId !== deviceId)
      throw new Conflict('endorsement_key_taken', `this TPM is the device ${known.deviceId}`)
    if (known.vouchedBy === 'maker' && use.certificate === null)
      throw new Conflict(
        'tpm_refused',
        'its endorsement certificate was not shown, or does not hold any more',
      )
    const state = await stateOf(transaction, deviceId)
    if (state !== 'registered' && state !== 'active')
      throw new Conflict(
        'device_state_forbids',
        `device ${deviceId} is ${state}: an operator lets it in again`,
      )
    await keepBest(transaction, known, use, at)
    return
  }
  if (!byToken) await addDeviceOf(transaction, use, deviceId, actor, at)
  else if ((await keyOf(transaction, 'device_id', deviceId)) !== undefined)
    throw new Conflict(
      'endorsement_key_taken',
      `device ${deviceId} has another TPM: an operator may take that off its record`,
    )
  const issuerId = use.certificate?.issuerId ?? null
  await insertKey(
    transaction,
    { ...use.model, hash: use.ekHash, deviceId, vouchedBy: use.vouchedBy, issuerId },
    at,
  )
}

/** The rows that an auditor follows: what was asked, what the TPM answered, then those of the certificate. */
async function recordExchange(
  transaction: Transaction<Schema>,
  use: TpmUse,
  { deviceId, serialNumber }: { deviceId: string; serialNumber: string },
  actor: Actor,
  at: number,
): Promise<void> {
  const { session, ekHash, key, challenge, model } = use
  const row = { target: deviceId, at }
  const asked = { ...actor, requestId: challenge.requestId, keyed: undefined }
  const about = { deviceId, session, endorsementKey: ekHash, keyName: key.name }
  await appendAudit(transaction, {
    ...row,
    actor: asked,
    action: 'tpm.challenge',
    detail: { ...about, challengedAt: challenge.at },
  })
  await appendAudit(transaction, {
    ...row,
    actor,
    action: 'tpm.activate',
    detail: { ...about, keyAttributes: key.attributeNames, vouchedBy: use.vouchedBy, ...model, serialNumber },
  })
  if (use.cloned === null) return
  const detail = { ...about, addresses: use.cloned }
  await appendAudit(transaction, { ...row, actor, action: 'tpm.clone', reason: 'certificate_cloned', detail })
}

/** An operator may have taken the key off the record meanwhile: what the operator or a token said of it ends with that. */
function assertStillVouched(
  { vouchedBy }: TpmUse,
  known: EndorsementKey | undefined,
  byToken: boolean,
): void {
  const holds =
    vouchedBy === 'operator'
      ? known?.vouchedBy === 'operator'
      : vouchedBy !== 'token' || byToken || (known !== undefined && known.vouchedBy !== 'nobody')
  if (!holds)
    throw new Conflict(
      'tpm_refused',
      'its endorsement key was taken off the record: ask for another challenge',
    )
}

async function assertMakerHolds(
  transaction: Transaction<Schema>,
  { issuerId, serialNumber }: { issuerId: string; serialNumber: string },
  { vouchedBy, approval }: Pick<TpmUse, 'vouchedBy' | 'approval'>,
): Promise<void> {
  const anchor = await anchorOf(transaction, issuerId)
  if (vouchedBy === 'maker' && anchor?.mode === 'pending' && !approval)
    throw new Conflict(
      'tpm_refused',
      'certificates for TPMs of its manufacturer wait for an operator by now: ask for another challenge',
    )
  const [issuer] = await rowsOf<{ enabled: 0 | 1 }>(
    transaction,
    'SELECT enabled FROM issuers WHERE id = ?',
    issuerId,
  )
  if (issuer?.enabled !== 1) throw new Conflict('tpm_refused', 'its manufacturer is disabled')
  if (anchor === undefined || anchor.mode === 'off')
    throw new Conflict('tpm_refused', 'endorsement keys of its manufacturer are switched off')
  if (await isRevokedBy(transaction, issuerId, serialNumber))
    throw new Conflict('tpm_refused', 'the CRL of its manufacturer lists the endorsement certificate')
}

async function addDeviceOf(
  transaction: Transaction<Schema>,
  use: TpmUse,
  deviceId: string,
  actor: Actor,
  at: number,
): Promise<void> {
  if (use.certificate === null) {
    const sql = "SELECT count(*) AS count FROM endorsement_keys WHERE vouched_by = 'nobody'"
    const [row] = await rowsOf<{ count: number }>(transaction, sql)
    if ((row?.count ?? 0) >= UNKNOWN_MAX)
      throw new Conflict(
        'claim_exceeded',
        `${UNKNOWN_MAX} devices of unknown manufacturers are on record, as many as may`,
      )
    return addDeviceIn(transaction, { id: deviceId, attributes: {}, groups: [] }, actor, at)
  }
  const { issuerId } = use.certificate
  const { group, devices, devicesMax } = (await anchorOf(transaction, issuerId))!
  if (devices >= devicesMax)
    throw new Conflict('claim_exceeded', `${devices} devices enrolled under this CA, as many as may`)
  await addDeviceIn(
    transaction,
    { id: deviceId, attributes: {}, groups: group === null ? [] : [group] },
    actor,
    at,
  )
  await run(transaction, 'UPDATE tpm_anchors SET devices = devices + 1 WHERE issuer_id = ?', issuerId)
}

const ranks: Record<Voucher, number> = { operator: 0, maker: 1, token: 2, nobody: 3 }

/** What vouches best is kept, and what the certificate said. */
async function keepBest(
  transaction: Transaction<Schema>,
  known: EndorsementKey,
  use: TpmUse,
  at: number,
): Promise<void> {
  const better = ranks[use.vouchedBy] < ranks[known.vouchedBy]
  if (!better && (use.certificate === null || known.maker !== null)) return
  const issuerId = use.certificate?.issuerId ?? known.issuerId
  await vouch(transaction, known.hash, better ? use.vouchedBy : known.vouchedBy, { ...use.model, issuerId })
  if (better) await appendChange(transaction, { kind: 'policy', at, deviceId: known.deviceId })
}

async function anchorOf(transaction: Transaction<Schema>, issuerId: string) {
  const sql =
    'SELECT mode, group_name AS "group", devices_max AS devicesMax, devices FROM tpm_anchors WHERE issuer_id = ?'
  const [row] = await rowsOf<TpmAnchor & { devices: number }>(transaction, sql, issuerId)
  return row
}
