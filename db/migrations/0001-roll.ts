// The first schema: devices, their certificates and issuers, rights, the change feed and the audit rows.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'roll'

export const sql = `
CREATE TABLE issuers (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  parent_id TEXT REFERENCES issuers (id),
  kind TEXT NOT NULL CHECK (kind IN ('root', 'issuing', 'foreign')),
  der BLOB NOT NULL,
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE devices (
  id TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 128),
  state TEXT NOT NULL CHECK (state IN ('registered', 'active', 'suspended', 'decommissioned')),
  attributes TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(attributes)),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE device_groups (
  device_id TEXT NOT NULL REFERENCES devices (id),
  name TEXT NOT NULL,
  PRIMARY KEY (device_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_groups_by_name ON device_groups (name, device_id);

-- A public key belongs to one device for ever.
CREATE TABLE public_keys (
  spki_hash TEXT PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES devices (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE certificates (
  fingerprint TEXT PRIMARY KEY CHECK (length(fingerprint) = 64),
  device_id TEXT NOT NULL REFERENCES devices (id),
  issuer_id TEXT REFERENCES issuers (id),
  trust TEXT NOT NULL CHECK (trust IN ('chained', 'pinned')),
  status TEXT NOT NULL CHECK (status IN ('pending', 'issued', 'active', 'superseded', 'suspended',
                                         'rejected', 'retired', 'lapsed', 'revoked')),
  revocation_reason TEXT CHECK ((status = 'revoked') = (revocation_reason IS NOT NULL)),
  serial_number TEXT NOT NULL,
  subject TEXT NOT NULL,
  key_type TEXT NOT NULL,
  spki_hash TEXT NOT NULL,
  client_auth INTEGER NOT NULL CHECK (client_auth IN (0, 1)),
  is_ca INTEGER NOT NULL CHECK (is_ca IN (0, 1)),
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  grace_until INTEGER,
  der BLOB NOT NULL,
  issued_at INTEGER NOT NULL,
  first_used_at INTEGER,
  revoked_at INTEGER,
  CHECK (trust = 'pinned' OR issuer_id IS NOT NULL)
) STRICT;
CREATE INDEX certificates_by_device ON certificates (device_id, fingerprint);
CREATE INDEX certificates_by_status ON certificates (status, fingerprint);
CREATE UNIQUE INDEX certificates_by_serial ON certificates (issuer_id, serial_number) WHERE issuer_id IS NOT NULL;

-- What the issuing CA was about to sign, on record before the key signs.
CREATE TABLE issuances (
  serial_number TEXT PRIMARY KEY,
  issuer_id TEXT NOT NULL REFERENCES issuers (id),
  device_id TEXT NOT NULL,
  spki_hash TEXT NOT NULL,
  purpose TEXT NOT NULL CHECK (purpose IN ('device', 'canary', 'server')),
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  intended_at INTEGER NOT NULL,
  fingerprint TEXT
) STRICT;

CREATE TABLE policies (
  name TEXT PRIMARY KEY,
  document TEXT NOT NULL CHECK (json_valid(document)),
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE policy_attachments (
  policy_name TEXT NOT NULL REFERENCES policies (name),
  kind TEXT NOT NULL CHECK (kind IN ('everyone', 'device', 'group', 'issuer')),
  target TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (kind, target, policy_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('viewer', 'enroller', 'operator', 'admin')),
  hash TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
) STRICT;

-- Every write that can end a right to be connected appends a row; brokers follow the epoch.
CREATE TABLE changes (
  epoch INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('certificate', 'device', 'issuer', 'policy')),
  device_id TEXT,
  fingerprint TEXT,
  issuer_id TEXT
) STRICT;
CREATE INDEX changes_by_fingerprint ON changes (fingerprint, epoch) WHERE fingerprint IS NOT NULL;
CREATE INDEX changes_by_device ON changes (device_id, epoch) WHERE device_id IS NOT NULL;

CREATE TABLE nodes (
  id TEXT PRIMARY KEY,
  started_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  acknowledged_epoch INTEGER NOT NULL
) STRICT;

CREATE TABLE acknowledgements (
  epoch INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  sessions_cut INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (epoch, node_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE refusals (
  id INTEGER PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  device_id TEXT,
  reason TEXT NOT NULL,
  address TEXT NOT NULL,
  at INTEGER NOT NULL,
  count INTEGER NOT NULL
) STRICT;
CREATE INDEX refusals_by_fingerprint ON refusals (fingerprint, at);
CREATE INDEX refusals_by_device ON refusals (device_id, at) WHERE device_id IS NOT NULL;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT,
  request_id TEXT,
  detail TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(detail))
) STRICT;
CREATE TRIGGER audit_rows_never_change BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are append-only'); END;
CREATE TRIGGER audit_rows_never_go BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are append-only'); END;
`
