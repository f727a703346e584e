// The life of certificates in time: what is due when, and which certificate was issued to renew which.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'life-cycle'

export const sql = `
-- What time does to a certificate, one row per step to come. A row goes in the transaction that makes it true.
CREATE TABLE deadlines (
  fingerprint TEXT NOT NULL REFERENCES certificates (fingerprint) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('expiring', 'critical', 'lapse', 'retire', 'forget')),
  due_at INTEGER NOT NULL,
  PRIMARY KEY (fingerprint, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX deadlines_by_time ON deadlines (due_at);

CREATE TABLE renewals (
  fingerprint TEXT PRIMARY KEY REFERENCES certificates (fingerprint) ON DELETE CASCADE,
  -- The newest certificate that admitted the device when this one was issued.
  renews TEXT NOT NULL,
  -- Issued because the key of the one before is no longer safe: that one gets no grace.
  compromise INTEGER NOT NULL CHECK (compromise IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX certificates_by_end ON certificates (not_after) WHERE status IN ('issued', 'active');

INSERT INTO deadlines
  SELECT fingerprint, 'expiring', not_before + (not_after - not_before) * 2 / 3 FROM certificates
  WHERE status IN ('issued', 'active', 'suspended');
INSERT INTO deadlines
  SELECT fingerprint, 'retire', coalesce(grace_until, 0) FROM certificates WHERE status = 'superseded';
INSERT INTO deadlines
  SELECT fingerprint, 'forget', issued_at + 604800000 FROM certificates WHERE status = 'pending';
`
