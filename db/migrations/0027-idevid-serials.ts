// Which IDevID a CRL of its issuer lists.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'idevid-serials'

export const sql = `
-- Null for a device that came with its IDevID before: filled when that enrolls again.
ALTER TABLE idevids ADD COLUMN serial_number TEXT;
CREATE INDEX idevids_by_serial ON idevids (issuer_id, serial_number) WHERE serial_number IS NOT NULL;
`
