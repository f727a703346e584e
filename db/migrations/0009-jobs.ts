// Imports of many devices: what was uploaded is a file, how far it is done is here.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'jobs'

export const sql = `
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'cancelled', 'failed')),
  dry_run INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
  -- Who asked for it, and in which request: the actor of every change it makes.
  actor TEXT NOT NULL,
  request_id TEXT NOT NULL,
  rows_total INTEGER NOT NULL,
  rows_done INTEGER NOT NULL DEFAULT 0,
  -- How far the rows were read and the results written when that was last noted, in bytes.
  rows_offset INTEGER NOT NULL DEFAULT 0,
  results_bytes INTEGER NOT NULL DEFAULT 0,
  -- Rows by outcome.
  counts TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(counts)),
  error TEXT,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, created_at);
`
