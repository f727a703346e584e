// Ways onto the roll without an operator's hand: one-time enrollment tokens, and claim certificates.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'enrollment-tokens'

export const sql = `
CREATE TABLE enrollment_tokens (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  -- For one device that is on record, or for a new one in a group.
  device_id TEXT REFERENCES devices (id),
  group_name TEXT,
  approval INTEGER NOT NULL CHECK (approval IN (0, 1)),
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  revoked_at INTEGER,
  used_at INTEGER,
  used_by TEXT REFERENCES devices (id),
  -- The key that it was used for: the same key again gets the same certificate.
  spki_hash TEXT,
  serial_number TEXT,
  CHECK ((device_id IS NULL) <> (group_name IS NULL)),
  CHECK ((used_at IS NULL) = (used_by IS NULL AND spki_hash IS NULL AND serial_number IS NULL))
) STRICT;

-- Certificates that may only enroll. They stand apart from those of devices: nothing that admits ever looks here.
CREATE TABLE claims (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  group_name TEXT,
  quota INTEGER NOT NULL CHECK (quota > 0),
  -- Whether only the devices in claim_allowlist may be claimed.
  allowlisted INTEGER NOT NULL CHECK (allowlisted IN (0, 1)),
  approval INTEGER NOT NULL CHECK (approval IN (0, 1)),
  issuer_id TEXT NOT NULL REFERENCES issuers (id),
  serial_number TEXT NOT NULL UNIQUE,
  spki_hash TEXT NOT NULL UNIQUE,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER,
  -- Both null until it is signed: what will be signed is on record before.
  fingerprint TEXT UNIQUE,
  der BLOB,
  CHECK ((fingerprint IS NULL) = (der IS NULL))
) STRICT;
CREATE TABLE claim_allowlist (
  claim_id TEXT NOT NULL REFERENCES claims (id),
  device_id TEXT NOT NULL,
  PRIMARY KEY (claim_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE claimed_devices (
  claim_id TEXT NOT NULL REFERENCES claims (id),
  device_id TEXT NOT NULL REFERENCES devices (id),
  claimed_at INTEGER NOT NULL,
  PRIMARY KEY (claim_id, device_id)
) STRICT, WITHOUT ROWID;

-- Set at the first start after a crash that came between deciding and listing: nothing came of it, and nothing will.
ALTER TABLE issuances ADD COLUMN abandoned_at INTEGER;
CREATE INDEX issuances_open ON issuances (serial_number) WHERE fingerprint IS NULL AND abandoned_at IS NULL;
`
