// Brokers that an operator has drained: they take no session until they are resumed. What a broker says of it.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'node-drains'

export const sql = `
CREATE TABLE node_drains (
  node_id TEXT PRIMARY KEY,
  -- When it was ordered; grows with each order for this node, which a broker names by it.
  at INTEGER NOT NULL,
  over_ms INTEGER NOT NULL,
  -- 1: clients are to go elsewhere for good. 0: for now.
  moved INTEGER NOT NULL CHECK (moved IN (0, 1)),
  -- Servers with a blank between them; empty for none.
  server_reference TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- The order that the broker acts on; null where it takes sessions.
ALTER TABLE nodes ADD COLUMN drain_at INTEGER;
`
