// What policies denied to each device: its last publishes, subscriptions and wills that no statement allowed or one denied.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'denials'

export const sql = `
CREATE TABLE denials (
  id INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('publish', 'subscribe', 'will')),
  topic TEXT NOT NULL,
  qos INTEGER NOT NULL,
  retain INTEGER NOT NULL,
  -- Why, and by which statement; null where that cannot be told.
  verdict TEXT,
  decided_by TEXT CHECK (json_valid(decided_by)),
  fingerprint TEXT NOT NULL,
  address TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  at INTEGER NOT NULL,
  count INTEGER NOT NULL,
  UNIQUE (device_id, action, topic)
) STRICT;
CREATE INDEX denials_by_device ON denials (device_id, id);
CREATE TRIGGER denials_of_device_end AFTER DELETE ON devices BEGIN
  DELETE FROM denials WHERE device_id = OLD.id;
END;
`
