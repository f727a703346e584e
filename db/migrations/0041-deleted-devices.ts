// Public keys of devices that were deleted: they stay known, so that none of them is ever listed again.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'deleted-devices'

const RETIRED = "'this public key belonged to a device that was deleted'"

export const sql = `
CREATE TABLE retired_keys (
  spki_hash TEXT PRIMARY KEY,
  -- What the device was called; another may be called so now.
  device_id TEXT NOT NULL,
  retired_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER retired_keys_are_no_devices BEFORE INSERT ON public_keys
WHEN EXISTS (SELECT 1 FROM retired_keys WHERE spki_hash = NEW.spki_hash)
BEGIN SELECT RAISE(ABORT, ${RETIRED}); END;
CREATE TRIGGER retired_keys_are_no_operators BEFORE INSERT ON operator_certificates
WHEN EXISTS (SELECT 1 FROM retired_keys WHERE spki_hash = NEW.spki_hash)
BEGIN SELECT RAISE(ABORT, ${RETIRED}); END;
CREATE TRIGGER retired_keys_are_no_claims BEFORE INSERT ON claims
WHEN EXISTS (SELECT 1 FROM retired_keys WHERE spki_hash = NEW.spki_hash)
BEGIN SELECT RAISE(ABORT, ${RETIRED}); END;
`
