// Webhooks: where events are sent. How far each has been told, and how it stands, lies beside the events.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'webhooks'

export const sql = `
CREATE TABLE webhooks (
  id TEXT PRIMARY KEY,
  url TEXT NOT NULL,
  -- A JSON list of kinds; empty for all.
  kinds TEXT NOT NULL CHECK (json_valid(kinds)),
  -- In the clear: every delivery is signed with it.
  secret TEXT NOT NULL,
  -- Events after this one are sent.
  from_seq INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  disabled_at INTEGER,
  disabled_reason TEXT CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
) STRICT, WITHOUT ROWID;
`
