// Manufacturers whose devices may enroll with the identity they were born with (IEEE 802.1AR IDevID), and the devices that did.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'idevids'

export const sql = `
-- Apart from how devices register themselves: who may enroll with a certificate is not admitted by it.
CREATE TABLE anchor_enrollments (
  issuer_id TEXT PRIMARY KEY REFERENCES trust_anchors (issuer_id),
  mode TEXT NOT NULL CHECK (mode IN ('off', 'pending', 'active')),
  name_template TEXT NOT NULL,
  group_name TEXT,
  devices_max INTEGER NOT NULL CHECK (devices_max > 0),
  devices INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- A device belongs to the IDevID that it first came with.
CREATE TABLE idevids (
  fingerprint TEXT PRIMARY KEY,
  issuer_id TEXT NOT NULL REFERENCES anchor_enrollments (issuer_id),
  device_id TEXT NOT NULL UNIQUE REFERENCES devices (id),
  enrolled_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`
