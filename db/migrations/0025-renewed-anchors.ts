// Certificates of trust anchors that a renewed one of the same name and key took the place of, until they are retired.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'renewed-anchors'

export const sql = `
-- An issuer keeps its ID, which is the fingerprint of its first certificate; issuers.der is the certificate in force.
CREATE TABLE replaced_issuer_certificates (
  fingerprint TEXT PRIMARY KEY,
  issuer_id TEXT NOT NULL REFERENCES issuers (id),
  der BLOB NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  replaced_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replaced_issuer_certificates_by_issuer ON replaced_issuer_certificates (issuer_id);
`
