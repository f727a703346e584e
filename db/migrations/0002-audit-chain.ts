// The second schema: audit rows become a hash chain that the table itself refuses to fork, and checkpoints sign it.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.
import type { Database } from 'better-sqlite3'
import { type AuditRow, type ChainEnd, chainStart, nextRow } from '../audit-chain.ts'

export const name = 'audit-chain'

const PAGE_ROWS = 1_000

/** Copies the rows into a chained table in their order, numbers kept. Their details become canonical JSON. */
export function apply(db: Database): void {
  db.exec(chainedTable)
  copyRows(db)
  db.exec(swap)
}

const chainedTable = `
CREATE TABLE audit_chained (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT,
  request_id TEXT,
  detail TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(detail)),
  prev_hash TEXT NOT NULL CHECK (length(prev_hash) = 64),
  hash TEXT NOT NULL CHECK (length(hash) = 64)
) STRICT;
`

const swap = `
DROP TABLE audit;
ALTER TABLE audit_chained RENAME TO audit;
CREATE INDEX audit_by_target ON audit (target, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
CREATE TRIGGER audit_rows_never_change BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are append-only'); END;
CREATE TRIGGER audit_rows_never_go BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are append-only'); END;
-- Whoever writes: a row continues the last one, or it is not written. So the chain cannot fork.
CREATE TRIGGER audit_rows_continue BEFORE INSERT ON audit
WHEN NEW.prev_hash IS NOT coalesce((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), '${chainStart.hash}')
BEGIN SELECT RAISE(ABORT, 'the audit row does not continue the chain'); END;

CREATE TABLE audit_checkpoints (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  seq INTEGER NOT NULL,
  hash TEXT NOT NULL CHECK (length(hash) = 64),
  at INTEGER NOT NULL,
  key_id TEXT NOT NULL CHECK (length(key_id) = 64),
  signature TEXT NOT NULL
) STRICT;
CREATE INDEX audit_checkpoints_by_seq ON audit_checkpoints (seq);
CREATE TRIGGER audit_checkpoints_never_change BEFORE UPDATE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'audit checkpoints are append-only'); END;
CREATE TRIGGER audit_checkpoints_never_go BEFORE DELETE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'audit checkpoints are append-only'); END;
`

function copyRows(db: Database): void {
  const page = db.prepare<[number, number], Omit<AuditRow, 'prevHash' | 'hash'>>(
    `SELECT seq, at, actor, action, target, outcome, reason, request_id AS requestId, detail
     FROM audit WHERE seq > ? ORDER BY seq LIMIT ?`,
  )
  const insert = db.prepare(
    `INSERT INTO audit_chained (seq, at, actor, action, target, outcome, reason, request_id, detail, prev_hash, hash)
     VALUES (@seq, @at, @actor, @action, @target, @outcome, @reason, @requestId, @detail, @prevHash, @hash)`,
  )
  let end: ChainEnd = chainStart
  let after = 0
  for (;;) {
    const rows = page.all(after, PAGE_ROWS)
    for (const row of rows) {
      // A number that is missing here was missing before there was a chain; verifying will say so.
      end = nextRow({ seq: row.seq - 1, hash: end.hash }, { ...row, detail: JSON.parse(row.detail) })
      insert.run(end)
    }
    if (rows.length < PAGE_ROWS) return
    after = end.seq
  }
}
