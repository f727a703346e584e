// Changes that clear a retained message: a topic, and the device that must have published it, where not anybody may.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'retained-changes'

export const sql = `
CREATE TABLE changes_with_retained (
  epoch INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  -- session: the connection ends. stored_session: it ends, and what is stored of the session goes. retained: what the topic holds goes.
  kind TEXT NOT NULL CHECK (kind IN ('certificate', 'device', 'issuer', 'policy', 'session', 'stored_session', 'retained')),
  device_id TEXT,
  fingerprint TEXT,
  issuer_id TEXT,
  topic TEXT
) STRICT;
INSERT INTO changes_with_retained (epoch, at, kind, device_id, fingerprint, issuer_id)
  SELECT epoch, at, kind, device_id, fingerprint, issuer_id FROM changes ORDER BY epoch;
-- An epoch is never given twice, also where the last row is gone.
UPDATE sqlite_sequence SET seq = max(seq, (SELECT seq FROM sqlite_sequence WHERE name = 'changes'))
  WHERE name = 'changes_with_retained' AND EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'changes');
INSERT INTO sqlite_sequence (name, seq)
  SELECT 'changes_with_retained', seq FROM sqlite_sequence WHERE name = 'changes'
    AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'changes_with_retained');
DROP TABLE changes;
ALTER TABLE changes_with_retained RENAME TO changes;
CREATE INDEX changes_by_fingerprint ON changes (fingerprint, epoch) WHERE fingerprint IS NOT NULL;
CREATE INDEX changes_by_device ON changes (device_id, epoch) WHERE device_id IS NOT NULL;
CREATE INDEX changes_of_stored_sessions ON changes (epoch) WHERE kind = 'stored_session';
CREATE INDEX changes_of_retained ON changes (epoch) WHERE kind = 'retained';
`
