// Foreign CAs as trust anchors: proof of possession, how their devices may register by themselves, what their CRLs revoke.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'trust-anchors'

export const sql = `
CREATE TABLE trust_anchors (
  issuer_id TEXT PRIMARY KEY REFERENCES issuers (id),
  -- What a verification certificate must be named while a challenge is open.
  nonce TEXT,
  nonce_expires_at INTEGER,
  proven_at INTEGER,
  -- The verification certificate: it proved something and identifies nobody.
  proof_fingerprint TEXT,
  registration TEXT NOT NULL DEFAULT 'off' CHECK (registration IN ('off', 'pending', 'active')),
  name_template TEXT NOT NULL DEFAULT '\${cn}',
  per_minute_max INTEGER NOT NULL DEFAULT 60 CHECK (per_minute_max > 0),
  devices_max INTEGER NOT NULL DEFAULT 1000 CHECK (devices_max > 0),
  -- Where a newer CRL is fetched, and how that went.
  crl_url TEXT,
  crl_checked_at INTEGER,
  crl_error TEXT,
  CHECK (registration = 'off' OR proven_at IS NOT NULL),
  CHECK ((nonce IS NULL) = (nonce_expires_at IS NULL))
) STRICT, WITHOUT ROWID;

-- Imported CRLs. One that no issuer points to is being written, or is left from an import that did not finish.
CREATE TABLE issuer_crls (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  issuer_id TEXT NOT NULL REFERENCES issuers (id),
  number TEXT,
  this_update INTEGER NOT NULL,
  next_update INTEGER,
  scope TEXT NOT NULL,
  entries INTEGER NOT NULL,
  hash TEXT NOT NULL,
  imported_at INTEGER NOT NULL
) STRICT;

CREATE TABLE issuer_revocations (
  crl_id INTEGER NOT NULL REFERENCES issuer_crls (id),
  serial_number TEXT NOT NULL,
  revoked_at INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (crl_id, serial_number)
) STRICT, WITHOUT ROWID;

-- The CRL in force, and whether the CRL of its own issuer lists it: read with every admission.
ALTER TABLE issuers ADD COLUMN crl_id INTEGER REFERENCES issuer_crls (id);
ALTER TABLE issuers ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0 CHECK (revoked IN (0, 1));

-- Strangers whose issuer lets devices register themselves, as brokers noted them. Decided by provisioning; one that was
-- refused stays for a while with the reason, so that it is not decided anew on every connection.
CREATE TABLE arrivals (
  fingerprint TEXT PRIMARY KEY,
  issuer_id TEXT NOT NULL REFERENCES issuers (id),
  der BLOB NOT NULL,
  address TEXT NOT NULL,
  at INTEGER NOT NULL,
  decided_at INTEGER,
  reason TEXT,
  detail TEXT,
  CHECK ((decided_at IS NULL) = (reason IS NULL))
) STRICT;
CREATE INDEX arrivals_waiting ON arrivals (at) WHERE decided_at IS NULL;
CREATE INDEX arrivals_decided ON arrivals (decided_at) WHERE decided_at IS NOT NULL;
CREATE INDEX arrivals_by_issuer ON arrivals (issuer_id, at);

CREATE TABLE auto_registrations (
  device_id TEXT PRIMARY KEY REFERENCES devices (id),
  issuer_id TEXT NOT NULL REFERENCES issuers (id),
  fingerprint TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX auto_registrations_by_issuer ON auto_registrations (issuer_id, at);

INSERT INTO trust_anchors (issuer_id) SELECT id FROM issuers WHERE kind = 'foreign';
`
