// Revocation for compromise ends a key, not one certificate: every certificate of that key, and of every key that obtained
// its certificate with it, in one transaction, each with its audit row and change row.
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { CertificateStatus, Schema } from '../schema.ts'
import { insert, rowsOf } from '../statement.ts'
import { clearDeadlines } from './deadlines.ts'
import { keysObtainedWith } from './lineage.ts'
import { certificateMay } from './transitions.ts'

type Row = { fingerprint: string; status: CertificateStatus; deviceId: string; spkiHash: string }
/** The certificate whose revocation was asked for. */
type Named = Row & { revocationReason: string | null }

/** Gives the epoch of the last change; null where nothing is left to revoke. */
export async function revokeKeyOf(
  transaction: Transaction<Schema>,
  named: Named,
  actor: Actor,
  at: number,
): Promise<number | null> {
  const declaredBy = (await declarationOf(transaction, named.spkiHash)) ?? named.fingerprint
  const others: Row[] = []
  for (const spkiHash of await keysObtainedWith(transaction, named.spkiHash)) {
    const key = { spki_hash: spkiHash, declared_by: declaredBy, compromised_at: at }
    await insert(transaction, 'compromised_keys', key, '(spki_hash) DO NOTHING')
    const rows = await rowsOf<Row>(transaction, ofKeySql, spkiHash, spkiHash)
    others.push(...rows.filter(row => row.fingerprint !== named.fingerprint && isLive(row)))
  }
  let epoch: number | null = null
  for (const row of others) {
    const because = row.spkiHash === named.spkiHash ? 'key' : 'lineage'
    epoch = await revoke(transaction, row, { because, named: named.fingerprint }, actor, at)
  }
  // Last, since an Idempotency-Key stands for the last row that was written.
  const isRevoked = named.status === 'revoked' && named.revocationReason === 'keyCompromise'
  return isRevoked && others.length === 0 ? epoch : revoke(transaction, named, {}, actor, at)
}

/** A key belongs to one device, so its certificates are found among the few of that device. */
const ofKeySql = `SELECT fingerprint, status, device_id AS deviceId, spki_hash AS spkiHash FROM certificates
  WHERE device_id = (SELECT device_id FROM public_keys WHERE spki_hash = ?) AND spki_hash = ? ORDER BY rowid`

/** Whether it admits, or may come to admit. What has ended otherwise stays as it ended. */
function isLive({ status }: Row): boolean {
  return certificateMay('revoke', status) || status === 'pending'
}

async function declarationOf(transaction: Transaction<Schema>, spkiHash: string): Promise<string | null> {
  const text = 'SELECT declared_by AS declaredBy FROM compromised_keys WHERE spki_hash = ?'
  const [row] = await rowsOf<{ declaredBy: string }>(transaction, text, spkiHash)
  return row?.declaredBy ?? null
}

async function revoke(
  transaction: Transaction<Schema>,
  { fingerprint, status, deviceId }: Row,
  why: { because?: 'key' | 'lineage'; named?: string },
  actor: Actor,
  at: number,
): Promise<number> {
  await clearDeadlines(transaction, fingerprint)
  await transaction
    .updateTable('certificates')
    .set({ status: 'revoked', revocation_reason: 'keyCompromise' })
    .$if(status !== 'revoked', update => update.set({ revoked_at: at }))
    .where('fingerprint', '=', fingerprint)
    .execute()
  await appendAudit(transaction, {
    at,
    actor,
    action: 'certificate.revoke',
    target: fingerprint,
    reason: 'keyCompromise',
    detail: { deviceId, from: status, ...why },
  })
  return appendChange(transaction, { kind: 'certificate', at, fingerprint, deviceId })
}
