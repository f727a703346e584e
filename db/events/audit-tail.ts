// What the audit log says that is newer than a position, and what a certificate is that it names: where events of the record
// come from. A row is there as soon as its change is, so nothing that was changed goes untold.
import type { Database } from 'better-sqlite3'
import type { ActorKind } from '../audit-chain.ts'
import { detailOf } from './event-reader.ts'

export type AuditTail = {
  /** Grows whenever another connection committed. */
  dataVersion(): number
  latestSeq(): number
  after(seq: number, limit: number): TailRow[]
  listed(fingerprint: string): 'first' | 'renewal' | 'pending'
}
export type TailRow = {
  seq: number
  at: number
  actor: string
  actorKind: ActorKind | null
  action: string
  target: string
  reason: string | null
  detail: Record<string, unknown>
}

export function prepareAuditTail(sqlite: Database): AuditTail {
  const version = sqlite.prepare('PRAGMA data_version').pluck()
  const latest = sqlite.prepare<[], number | null>('SELECT max(seq) FROM audit').pluck()
  const rows = sqlite.prepare<[number, number], Omit<TailRow, 'detail'> & { detail: string }>(
    `SELECT seq, at, actor, actor_kind AS actorKind, action, target, reason, detail FROM audit WHERE seq > ?
     ORDER BY seq LIMIT ?`,
  )
  const status = sqlite
    .prepare<[string], string>('SELECT status FROM certificates WHERE fingerprint = ?')
    .pluck()
  const renewal = sqlite.prepare<[string], number>('SELECT 1 FROM renewals WHERE fingerprint = ?').pluck()
  return {
    dataVersion: () => version.get() as number,
    latestSeq: () => latest.get() ?? 0,
    after: (seq, limit) =>
      rows.all(seq, limit).map(({ detail, ...row }) => ({ ...row, detail: detailOf(detail) })),
    listed(fingerprint) {
      if (status.get(fingerprint) === 'pending') return 'pending'
      return renewal.get(fingerprint) === undefined ? 'first' : 'renewal'
    },
  }
}
