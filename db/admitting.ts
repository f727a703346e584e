// The certificates of a device that admit it now, as far as the record alone can tell, and how many there may be.
import { sql, type Transaction } from 'kysely'
import type { CertificateStatus, Schema } from './schema.ts'
import { Conflict } from './transact.ts'

/** The one in use and the one that is to follow it. */
export const ADMITTING_MAX = 2

export type Admitting = { fingerprint: string; status: CertificateStatus; spkiHash: string }

/** In the order they were listed: clocks step back, the order of rows does not. `at` in ms since the epoch. */
export async function admittingOf(
  transaction: Transaction<Schema>,
  deviceId: string,
  at: number,
): Promise<Admitting[]> {
  return transaction
    .selectFrom('certificates')
    .select(['fingerprint', 'status', 'spki_hash as spkiHash'])
    .where('device_id', '=', deviceId)
    .where('not_after', '>', at)
    .where(({ eb, and, or }) =>
      or([
        eb('status', 'in', ['issued', 'active']),
        and([eb('status', '=', 'superseded'), eb('grace_until', '>', at)]),
      ]),
    )
    .where(({ eb, or, selectFrom }) =>
      or([
        eb('issuer_id', 'is', null),
        eb('issuer_id', 'in', selectFrom('issuers').select('id').where('enabled', '=', 1)),
      ]),
    )
    .orderBy(sql`rowid`)
    .execute()
}

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
