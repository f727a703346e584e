// What CRL and OCSP are made from: the numbers of lists signed so far, and ways to find what is withdrawn without
// walking the whole roll. Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'revocation-status'

export const sql = `
-- The newest list of each issuing CA. A number is taken before it is signed, so that none is ever used twice.
CREATE TABLE crls (
  issuer_id TEXT PRIMARY KEY REFERENCES issuers (id),
  number INTEGER NOT NULL,
  this_update INTEGER,
  next_update INTEGER,
  entries INTEGER NOT NULL DEFAULT 0,
  -- SHA-256 of the entries alone, and of the whole list as its file holds it.
  entries_hash TEXT,
  hash TEXT
) STRICT;

CREATE INDEX certificates_withdrawn ON certificates (issuer_id, not_after, serial_number)
  WHERE status NOT IN ('issued', 'active', 'superseded');
CREATE INDEX devices_out ON devices (id) WHERE state IN ('suspended', 'decommissioned');

-- When an issuing CA took over, and over how long devices are told to renew under it.
CREATE TABLE rotations (
  issuer_id TEXT PRIMARY KEY REFERENCES issuers (id),
  at INTEGER NOT NULL,
  spread_ms INTEGER NOT NULL
) STRICT;
`
