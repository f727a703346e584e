// The certificates of a device that admit it now, as far as the record alone can tell, and how many there may be.
import type { Transaction } from 'kysely'
import type { CertificateStatus, Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'
import { Conflict } from '../transact.ts'

/** The one in use and the one that is to follow it. */
export const ADMITTING_MAX = 2

export type Admitting = { fingerprint: string; status: CertificateStatus; spkiHash: string }

/** In the order they were listed: clocks step back, the order of rows does not. `at` in ms since the epoch. */
export async function admittingOf(
  transaction: Transaction<Schema>,
  deviceId: string,
  at: number,
): Promise<Admitting[]> {
  return rowsOf<Admitting>(transaction, admittingSql, deviceId, at, at)
}

const admittingSql = `SELECT fingerprint, status, spki_hash AS spkiHash FROM certificates
  WHERE device_id = ? AND not_after > ?
    AND (status IN ('issued', 'active') OR (status = 'superseded' AND grace_until > ?))
    AND (issuer_id IS NULL OR issuer_id IN (SELECT id FROM issuers WHERE enabled = 1))
  ORDER BY rowid`

/** Gives those that admit now. Throws `certificates_exceeded`, naming them, where one more would be too many. */
export async function assertRoom(
  transaction: Transaction<Schema>,
  deviceId: string,
  at: number,
): Promise<Admitting[]> {
  const admitting = await admittingOf(transaction, deviceId, at)
  if (admitting.length < ADMITTING_MAX) return admitting
  const named = admitting.map(({ fingerprint, status }) => `${fingerprint} (${status})`).join(' and ')
  throw new Conflict(
    'certificates_exceeded',
    `device ${deviceId} is admitted by ${admitting.length} certificates already, ${named}: revoke the one it does not use`,
  )
}
