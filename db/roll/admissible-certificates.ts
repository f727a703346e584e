// The certificates of a device that admit it now, as far as the record alone can tell, and how many there may be.
import type { Transaction } from 'kysely'
import type { CertificateStatus, Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'
import { Conflict } from '../transact.ts'

/** The one in use and the one that is to follow it. */
export const ADMISSIBLE_CERTIFICATES_MAX = 2
/** At most so many wait for an operator, since a device that may request one may request more. */
const PENDING_MAX = 4

export type AdmissibleCertificate = { fingerprint: string; status: CertificateStatus; spkiHash: string }

/** In the order they were listed: clocks step back, the order of rows does not. `at` in ms since the epoch. */
export async function admissibleCertificatesOf(
  transaction: Transaction<Schema>,
  deviceId: string,
  at: number,
): Promise<AdmissibleCertificate[]> {
  return rowsOf<AdmissibleCertificate>(transaction, admissibleCertificatesSql, deviceId, at, at)
}

/** Of a device, at a time that is given twice. */
export const admissibleCertificatesSql = `SELECT fingerprint, status, spki_hash AS spkiHash, not_after AS notAfter, grace_until AS graceUntil
  FROM certificates
  WHERE device_id = ? AND not_after > ?
    AND (status IN ('issued', 'active') OR (status = 'superseded' AND grace_until > ?))
    AND (issuer_id IS NULL OR issuer_id IN (SELECT id FROM issuers WHERE enabled = 1))
  ORDER BY rowid`

/**
 * Whether a device holds a certificate that admits it, or would once what can be undone is undone: a suspension, or a disabled
 * issuer.
 */
export async function holdsCertificate(
  transaction: Transaction<Schema>,
  deviceId: string,
  at: number,
): Promise<boolean> {
  return (await rowsOf(transaction, heldSql, deviceId, at, at)).length > 0
}

const heldSql = `SELECT 1 FROM certificates WHERE device_id = ? AND not_after > ?
  AND (status IN ('issued', 'active', 'suspended') OR (status = 'superseded' AND grace_until > ?)) LIMIT 1`

/** Throws `certificates_exceeded` where as many certificates of a device wait for an operator as may. */
export async function assertRoomToWait(transaction: Transaction<Schema>, deviceId: string): Promise<void> {
  const [row] = await rowsOf<{ waiting: number }>(transaction, waitingSql, deviceId)
  if ((row?.waiting ?? 0) < PENDING_MAX) return
  throw new Conflict(
    'certificates_exceeded',
    `${PENDING_MAX} certificates of device ${deviceId} wait for an operator already: approve or reject them`,
  )
}

const waitingSql = `SELECT count(*) AS waiting FROM certificates WHERE device_id = ? AND status = 'pending'`

/** Gives those that admit now. Throws `certificates_exceeded`, naming them, where one more would be too many. */
export async function assertRoom(
  transaction: Transaction<Schema>,
  deviceId: string,
  at: number,
): Promise<AdmissibleCertificate[]> {
  const admitting = await admissibleCertificatesOf(transaction, deviceId, at)
  if (admitting.length < ADMISSIBLE_CERTIFICATES_MAX) return admitting
  const named = admitting.map(({ fingerprint, status }) => `${fingerprint} (${status})`).join(' and ')
  throw new Conflict(
    'certificates_exceeded',
    `device ${deviceId} is admitted by ${admitting.length} certificates already, ${named}: revoke the one it does not use`,
  )
}
