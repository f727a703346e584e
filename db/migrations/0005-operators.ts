// Operators: what API tokens reach and when they were last used, operators' certificates, and kept answers of requests.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'operators'

export const sql = `
-- A token with a group sees and touches devices of that group alone.
ALTER TABLE api_tokens ADD COLUMN scope_group TEXT;
ALTER TABLE api_tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT 'system';
ALTER TABLE api_tokens ADD COLUMN last_used_at INTEGER;
ALTER TABLE api_tokens ADD COLUMN last_used_address TEXT;
CREATE INDEX api_tokens_by_name ON api_tokens (name, id);

CREATE TABLE operator_certificates (
  fingerprint TEXT PRIMARY KEY CHECK (length(fingerprint) = 64),
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('viewer', 'enroller', 'operator', 'admin')),
  scope_group TEXT,
  subject TEXT NOT NULL,
  key_type TEXT NOT NULL,
  spki_hash TEXT NOT NULL UNIQUE,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER,
  last_used_at INTEGER,
  last_used_address TEXT
) STRICT;

-- A key is a device's or an operator's, never both, whichever verb wrote it.
CREATE TRIGGER device_keys_are_no_operators BEFORE INSERT ON public_keys
WHEN EXISTS (SELECT 1 FROM operator_certificates WHERE spki_hash = NEW.spki_hash)
BEGIN SELECT RAISE(ABORT, 'this public key is an operator''s'); END;
CREATE TRIGGER operator_keys_are_no_devices BEFORE INSERT ON operator_certificates
WHEN EXISTS (SELECT 1 FROM public_keys WHERE spki_hash = NEW.spki_hash)
BEGIN SELECT RAISE(ABORT, 'this public key is a device''s'); END;

-- Requests with an Idempotency-Key. The row is written in the transaction of the change it stands for; the answer follows.
CREATE TABLE idempotency_keys (
  holder_id TEXT NOT NULL,
  key_hash TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  at INTEGER NOT NULL,
  action TEXT,
  target TEXT,
  epoch INTEGER,
  status INTEGER,
  headers TEXT,
  body TEXT,
  PRIMARY KEY (holder_id, key_hash)
) STRICT;
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (at);
`
