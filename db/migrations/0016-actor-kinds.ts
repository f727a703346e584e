// Actors carry their kind in the audit log; operators that bear the name of a part of the service get another one.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.
import type { Database } from 'better-sqlite3'
import { type ChainEnd, chainStart, nextRow } from '../audit-chain.ts'

export const name = 'actor-kinds'

/** What was reserved when this migration landed; it stays so, whatever is reserved later. */
const RESERVED = 'broker engine gate provisioning rollcall root simulator supervisor system time'.split(' ')
const tables = [
  { table: 'api_tokens', key: 'id', action: 'token.rename' },
  { table: 'operator_certificates', key: 'fingerprint', action: 'operator.rename' },
] as const

type Named = { key: string; name: string }

export function apply(db: Database): void {
  db.exec(columns)
  for (const { table, key, action } of tables) {
    const clashing = db
      .prepare<[], Named>(`SELECT ${key} AS key, name FROM ${table} WHERE revoked_at IS NULL ORDER BY ${key}`)
      .all()
      .filter(row => RESERVED.includes(row.name.toLowerCase()))
    for (const row of clashing) {
      const renamed = freeName(db, row.name)
      db.prepare(`UPDATE ${table} SET name = ? WHERE ${key} = ?`).run(renamed, row.key)
      appendRow(db, { action, target: row.key, detail: { from: row.name, name: renamed } })
    }
  }
}

const columns = `
-- Null in rows of before: their hashes stand over the text without it.
ALTER TABLE audit ADD COLUMN actor_kind TEXT;
ALTER TABLE jobs ADD COLUMN actor_kind TEXT NOT NULL DEFAULT 'token';
UPDATE jobs SET actor_kind = 'certificate' WHERE actor IN (SELECT name FROM operator_certificates);
-- Certificates that are trusted for themselves and bound to no issuer: each new trust anchor asks which of them are its own.
CREATE INDEX certificates_pinned_alone ON certificates (fingerprint) WHERE trust = 'pinned' AND issuer_id IS NULL;
`

function freeName(db: Database, name: string): string {
  const taken = db
    .prepare<{ name: string }, number>(
      'SELECT 1 FROM api_tokens WHERE name = @name UNION SELECT 1 FROM operator_certificates WHERE name = @name',
    )
    .pluck()
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? `operator-${name}` : `operator-${name}-${number}`
    if (taken.get({ name: candidate }) === undefined) return candidate
  }
}

function appendRow(
  db: Database,
  { action, target, detail }: { action: string; target: string; detail: Record<string, string> },
): void {
  const last = db
    .prepare<[], ChainEnd>(
      `SELECT max(seq, coalesce((SELECT q.seq FROM sqlite_sequence q WHERE q.name = 'audit'), 0)) AS seq, hash
       FROM audit ORDER BY audit.seq DESC LIMIT 1`,
    )
    .get()
  const row = nextRow(last ?? chainStart, {
    ...{ at: Date.now(), actor: 'provisioning', actorKind: 'service', action, target, detail },
    ...{ outcome: 'done', reason: 'name_reserved', requestId: null },
  })
  db.prepare(
    `INSERT INTO audit (seq, at, actor, actor_kind, action, target, outcome, reason, request_id, detail, prev_hash, hash)
     VALUES (@seq, @at, @actor, @actorKind, @action, @target, @outcome, @reason, @requestId, @detail, @prevHash, @hash)`,
  ).run(row)
}
