// Of each device the certificate that counts, and indexes by which lists of devices are sorted.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'device-certificates'

/** The newest that admits, or else the newest of all: what a list shows of a device. */
const newest = (device: string) => `(SELECT status, not_after FROM certificates WHERE device_id = ${device}
  ORDER BY status IN ('active', 'issued') DESC, status = 'superseded' DESC, rowid DESC LIMIT 1)`
const update = (device: string) => `UPDATE devices SET (certificate_status, certificate_not_after) =
    (SELECT coalesce(max(status), ''), coalesce(max(not_after), 0) FROM ${newest(device)}) WHERE id = ${device};`

export const sql = `
-- Empty and 0 where it has none.
ALTER TABLE devices ADD COLUMN certificate_status TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN certificate_not_after INTEGER NOT NULL DEFAULT 0;
UPDATE devices SET (certificate_status, certificate_not_after) = ${newest('devices.id')}
  WHERE id IN (SELECT device_id FROM certificates);
CREATE TRIGGER device_certificate_added AFTER INSERT ON certificates BEGIN
  ${update('NEW.device_id')}
END;
CREATE TRIGGER device_certificate_moved AFTER UPDATE OF status ON certificates WHEN NEW.status <> OLD.status BEGIN
  ${update('NEW.device_id')}
END;
CREATE TRIGGER device_certificate_gone AFTER DELETE ON certificates BEGIN
  ${update('OLD.device_id')}
END;
CREATE INDEX devices_by_certificate_status ON devices (certificate_status, id);
CREATE INDEX devices_by_certificate_expiry ON devices (certificate_not_after, id);
CREATE INDEX devices_by_creation ON devices (created_at, id);
CREATE INDEX devices_by_update ON devices (updated_at, id);
`
