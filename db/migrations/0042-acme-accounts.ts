// ACME accounts: the key of a client, what bound it to this service, and the certificate that it renews.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'acme-accounts'

export const sql = `
CREATE TABLE acme_accounts (
  id TEXT PRIMARY KEY,
  -- DER of SubjectPublicKeyInfo, and its SHA-256.
  spki BLOB NOT NULL,
  spki_hash TEXT NOT NULL UNIQUE,
  -- A token binds one account, a claim as many as it may enroll.
  token_id TEXT UNIQUE REFERENCES enrollment_tokens (id) ON DELETE CASCADE,
  claim_id TEXT REFERENCES claims (id) ON DELETE CASCADE,
  -- The certificate that it obtained last; null before the first.
  fingerprint TEXT REFERENCES certificates (fingerprint) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  deactivated_at INTEGER,
  CHECK ((token_id IS NULL) != (claim_id IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_accounts_by_claim ON acme_accounts (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX acme_accounts_by_certificate ON acme_accounts (fingerprint) WHERE fingerprint IS NOT NULL;
`
