// TPMs: manufacturers whose endorsement keys are trusted, the endorsement key of a device, and which certificates a TPM proved.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'tpms'

export const sql = `
-- Apart from IDevIDs: an endorsement key proves a TPM of this manufacturer, and nobody signs a nonce for it.
CREATE TABLE tpm_anchors (
  issuer_id TEXT PRIMARY KEY REFERENCES trust_anchors (issuer_id),
  mode TEXT NOT NULL CHECK (mode IN ('off', 'pending', 'active')),
  group_name TEXT,
  devices_max INTEGER NOT NULL CHECK (devices_max > 0),
  devices INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- A device is its endorsement key: one TPM, one device. ek_hash is the SHA-256 of its SubjectPublicKeyInfo.
CREATE TABLE endorsement_keys (
  ek_hash TEXT PRIMARY KEY,
  device_id TEXT NOT NULL UNIQUE REFERENCES devices (id),
  vouched_by TEXT NOT NULL CHECK (vouched_by IN ('operator', 'maker', 'token', 'nobody')),
  -- Of the endorsement certificate, where one was shown: the anchor, and what it says of the TPM.
  issuer_id TEXT REFERENCES tpm_anchors (issuer_id),
  maker TEXT,
  model TEXT,
  version TEXT,
  recorded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX endorsement_keys_by_issuer ON endorsement_keys (issuer_id) WHERE issuer_id IS NOT NULL;
CREATE INDEX endorsement_keys_unknown ON endorsement_keys (vouched_by) WHERE vouched_by = 'nobody';

-- Certificates whose key a TPM proved to hold, in the exchange that led to them.
CREATE TABLE attestations (
  fingerprint TEXT PRIMARY KEY REFERENCES certificates (fingerprint) ON DELETE CASCADE,
  device_id TEXT NOT NULL,
  serial_number TEXT NOT NULL,
  ek_hash TEXT NOT NULL,
  key_name TEXT NOT NULL,
  key_attributes INTEGER NOT NULL,
  proven_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attestations_by_device ON attestations (device_id, serial_number);
`
