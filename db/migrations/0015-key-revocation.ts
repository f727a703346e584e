// Keys that were revoked for compromise, which certificate authenticated the issuance of which, and enrollment tokens whose
// certificate waits where the device holds one. Append-only: a landed migration is never edited.

export const name = 'key-revocation'

const REVOKED = "'this public key was revoked as compromised'"

export const sql = `
-- A row stays for ever: no certificate for such a key is listed again. Certificates that older versions left admitted beside
-- a revoked one stay as they are: the service and rollcall doctor name them.
CREATE TABLE compromised_keys (
  spki_hash TEXT PRIMARY KEY,
  -- The certificate whose revocation named this key, or a key that obtained a certificate for it.
  declared_by TEXT NOT NULL,
  compromised_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO compromised_keys
  SELECT spki_hash, fingerprint, min(coalesce(revoked_at, issued_at)) FROM certificates
  WHERE status = 'revoked' AND revocation_reason = 'keyCompromise' GROUP BY spki_hash;
CREATE INDEX compromised_keys_by_declaration ON compromised_keys (declared_by);

-- Whichever verb writes it.
CREATE TRIGGER compromised_keys_get_no_certificate BEFORE INSERT ON certificates
WHEN EXISTS (SELECT 1 FROM compromised_keys WHERE spki_hash = NEW.spki_hash)
BEGIN SELECT RAISE(ABORT, ${REVOKED}); END;
CREATE TRIGGER compromised_keys_are_not_readmitted BEFORE UPDATE OF status ON certificates
WHEN NEW.status IN ('issued', 'active', 'superseded') AND OLD.status NOT IN ('issued', 'active', 'superseded')
  AND EXISTS (SELECT 1 FROM compromised_keys WHERE spki_hash = NEW.spki_hash)
BEGIN SELECT RAISE(ABORT, ${REVOKED}); END;
CREATE TRIGGER compromised_keys_are_no_operators BEFORE INSERT ON operator_certificates
WHEN EXISTS (SELECT 1 FROM compromised_keys WHERE spki_hash = NEW.spki_hash)
BEGIN SELECT RAISE(ABORT, ${REVOKED}); END;
CREATE TRIGGER compromised_keys_are_no_claims BEFORE INSERT ON claims
WHEN EXISTS (SELECT 1 FROM compromised_keys WHERE spki_hash = NEW.spki_hash)
BEGIN SELECT RAISE(ABORT, ${REVOKED}); END;

-- Which certificate, and so which key, authenticated the request for a certificate.
CREATE TABLE certificate_lineage (
  fingerprint TEXT PRIMARY KEY REFERENCES certificates (fingerprint) ON DELETE CASCADE,
  authenticated_by TEXT NOT NULL,
  authenticated_key TEXT NOT NULL,
  -- When an operator approved it: from then on it stands on the operator's word, and no longer on that key.
  approved_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX certificate_lineage_by_key ON certificate_lineage (authenticated_key);

-- A device renews only while no other certificate but the one it shows admits it: that is the one on record as renewed.
INSERT OR IGNORE INTO certificate_lineage
  SELECT r.fingerprint, p.fingerprint, p.spki_hash, NULL FROM audit a
  JOIN renewals r ON r.fingerprint = a.target JOIN certificates p ON p.fingerprint = r.renews
  WHERE a.action = 'certificate.issue' AND a.actor GLOB 'device:*';
INSERT OR IGNORE INTO certificate_lineage
  SELECT c.fingerprint, p.fingerprint, p.spki_hash, NULL FROM audit a
  JOIN certificates c ON c.fingerprint = a.target JOIN claims p ON p.id = substr(a.actor, 7)
  WHERE a.action = 'certificate.issue' AND a.actor GLOB 'claim:*' AND p.fingerprint IS NOT NULL;
INSERT OR IGNORE INTO certificate_lineage
  SELECT c.fingerprint, p.fingerprint, p.spki_hash, NULL FROM audit a
  JOIN certificates c ON c.fingerprint = a.target JOIN certificates p ON p.fingerprint = substr(a.actor, 8)
  WHERE a.action = 'certificate.issue' AND a.actor GLOB 'idevid:*';

-- Whether its certificate waits for an operator where the device holds one: so for tokens that an enroller made.
ALTER TABLE enrollment_tokens ADD COLUMN approval_if_held INTEGER NOT NULL DEFAULT 0;
UPDATE enrollment_tokens SET approval_if_held = 1
  WHERE device_id IS NOT NULL AND used_at IS NULL AND created_by NOT IN (
    SELECT name FROM api_tokens WHERE role IN ('operator', 'admin')
    UNION SELECT name FROM operator_certificates WHERE role IN ('operator', 'admin'));
`
