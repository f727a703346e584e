// When each device was last connected, and how that ended: one row for every device, kept for as long as the device is.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'last-seen'

export const sql = `
CREATE TABLE last_seen (
  device_id TEXT PRIMARY KEY,
  -- The end of its last connection: 0 where it never connected, the highest time of JavaScript while it is connected.
  seen_at INTEGER NOT NULL DEFAULT 0,
  -- The broker on which it is connected.
  node_id TEXT,
  -- 0 where it never connected.
  connected_at INTEGER NOT NULL DEFAULT 0,
  -- Of the connection before, while it is connected.
  disconnected_at INTEGER,
  reason TEXT,
  address TEXT,
  fingerprint TEXT,
  protocol_level INTEGER,
  session_kept INTEGER NOT NULL DEFAULT 0,
  messages_waiting INTEGER NOT NULL DEFAULT 0,
  -- Of all its connections, since this table is.
  bytes_in INTEGER NOT NULL DEFAULT 0,
  bytes_out INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
-- Before this only the first use of a certificate was on record: that the device was there, and when at the least.
INSERT INTO last_seen (device_id, seen_at, connected_at)
  SELECT id, coalesce(used_at, 0), coalesce(used_at, 0) FROM devices LEFT JOIN
    (SELECT device_id, max(first_used_at) AS used_at FROM certificates GROUP BY device_id) ON device_id = id;
CREATE INDEX last_seen_by_time ON last_seen (seen_at, device_id);
CREATE INDEX last_seen_by_connect ON last_seen (connected_at, device_id);
CREATE INDEX last_seen_by_messages_waiting ON last_seen (messages_waiting, device_id);
CREATE INDEX last_seen_by_bytes_in ON last_seen (bytes_in, device_id);
CREATE INDEX last_seen_by_bytes_out ON last_seen (bytes_out, device_id);
CREATE TRIGGER last_seen_begins AFTER INSERT ON devices BEGIN
  INSERT OR IGNORE INTO last_seen (device_id) VALUES (NEW.id);
END;
CREATE TRIGGER last_seen_ends AFTER DELETE ON devices BEGIN
  DELETE FROM last_seen WHERE device_id = OLD.id;
END;
`
