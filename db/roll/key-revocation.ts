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
export type NamedCertificate = Row & { revocationReason: string | null }
/** Why a certificate was revoked that nobody named: its key, the key that obtained it, or the CRL of this issuer. */
type Why = { because?: 'key' | 'lineage' | 'crl'; named?: string; issuer?: string }

/** Gives the epoch of the last change; null where nothing is left to revoke. */
export async function revokeKeyOf(
  transaction: Transaction<Schema>,
  named: NamedCertificate,
  actor: Actor,
  at: number,
  why: Why = {},
): Promise<number | null> {
  const others = await revokeAllOf(transaction, named, actor, at)
  // Last, since an Idempotency-Key stands for the last row that was written.
  const isRevoked = named.status === 'revoked' && named.revocationReason === 'keyCompromise'
  return isRevoked && others === null ? null : revoke(transaction, named, why, actor, at)
}

/** The same for a certificate that is not on the roll, as an IDevID, or whose own revocation comes after. */
export async function revokeAllOf(
  transaction: Transaction<Schema>,
  { fingerprint: named, spkiHash: key }: { fingerprint: string; spkiHash: string },
  actor: Actor,
  at: number,
): Promise<number | null> {
  const declaredBy = (await declarationOf(transaction, key)) ?? named
  const others: Row[] = []
  for (const spkiHash of await keysObtainedWith(transaction, key)) {
    const row = { spki_hash: spkiHash, declared_by: declaredBy, compromised_at: at }
    await insert(transaction, 'compromised_keys', row, '(spki_hash) DO NOTHING')
    const rows = await rowsOf<Row>(transaction, ofKeySql, spkiHash, spkiHash)
    others.push(...rows.filter(row => row.fingerprint !== named && isLive(row)))
  }
  let epoch: number | null = null
  for (const row of others) {
    const because = row.spkiHash === key ? 'key' : 'lineage'
    epoch = await revoke(transaction, row, { because, named }, actor, at)
  }
  return epoch
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
  why: Why,
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
