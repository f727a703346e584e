// A renewal that its device never used, because the answer or the new key was lost, holds one of two places. The certificate
// that asked for it may replace it after a while; before, the thief of a key could take a fresh one from its device.
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'
import { ADMISSIBLE_CERTIFICATES_MAX, admissibleCertificatesOf } from './admissible-certificates.ts'
import { clearDeadlines } from './deadlines.ts'
import type { Authenticator } from './lineage.ts'
import { certificateTransitions } from './transitions.ts'

/** How long an unused renewal keeps its place. */
const REPLACEABLE_AFTER_MS = 60 * 60_000

/** Lapses the oldest unused renewal that the same key asked for, where there is no room for another certificate. */
export async function lapseUnusedRenewal(
  transaction: Transaction<Schema>,
  deviceId: string,
  by: Authenticator | undefined,
  actor: Actor,
  at: number,
): Promise<void> {
  if (
    by === undefined ||
    (await admissibleCertificatesOf(transaction, deviceId, at)).length < ADMISSIBLE_CERTIFICATES_MAX
  )
    return
  const issuedBy = at - REPLACEABLE_AFTER_MS
  const [dead] = await rowsOf<{ fingerprint: string }>(transaction, deadSql, deviceId, issuedBy, by.spkiHash)
  if (dead === undefined) return
  const { fingerprint } = dead
  await clearDeadlines(transaction, fingerprint)
  await transaction
    .updateTable('certificates')
    .set({ status: certificateTransitions.lapse.to })
    .where('fingerprint', '=', fingerprint)
    .execute()
  const detail = { deviceId, from: 'issued', authenticatedBy: by.fingerprint }
  await appendAudit(transaction, { at, actor, action: 'certificate.lapse', target: fingerprint, detail })
  await appendChange(transaction, { kind: 'certificate', at, fingerprint, deviceId })
}

const deadSql = `SELECT c.fingerprint FROM certificates c JOIN certificate_lineage l ON l.fingerprint = c.fingerprint
  WHERE c.device_id = ? AND c.status = 'issued' AND c.first_used_at IS NULL AND c.issued_at <= ?
    AND l.authenticated_key = ? ORDER BY c.rowid LIMIT 1`
