// What an overview and a search ask at any size of the roll: kept counts, attributes by value, live sessions as brokers note them.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'overview'

export const sql = `
-- How many devices and certificates are in each state: counting a million on each look would stall the service.
CREATE TABLE roll_counts (
  kind TEXT NOT NULL CHECK (kind IN ('device', 'certificate')),
  state TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (kind, state)
) STRICT, WITHOUT ROWID;
INSERT INTO roll_counts SELECT 'device', value, (SELECT count(*) FROM devices WHERE state = value)
  FROM json_each('["registered", "active", "suspended", "decommissioned"]');
INSERT INTO roll_counts SELECT 'certificate', value, (SELECT count(*) FROM certificates WHERE status = value)
  FROM json_each('["pending", "issued", "active", "superseded", "suspended", "rejected", "retired", "lapsed", "revoked"]');

CREATE TRIGGER count_device_added AFTER INSERT ON devices BEGIN
  UPDATE roll_counts SET count = count + 1 WHERE kind = 'device' AND state = NEW.state;
END;
CREATE TRIGGER count_device_moved AFTER UPDATE OF state ON devices WHEN NEW.state <> OLD.state BEGIN
  UPDATE roll_counts SET count = count - 1 WHERE kind = 'device' AND state = OLD.state;
  UPDATE roll_counts SET count = count + 1 WHERE kind = 'device' AND state = NEW.state;
END;
CREATE TRIGGER count_device_gone AFTER DELETE ON devices BEGIN
  UPDATE roll_counts SET count = count - 1 WHERE kind = 'device' AND state = OLD.state;
END;
CREATE TRIGGER count_certificate_added AFTER INSERT ON certificates BEGIN
  UPDATE roll_counts SET count = count + 1 WHERE kind = 'certificate' AND state = NEW.status;
END;
CREATE TRIGGER count_certificate_moved AFTER UPDATE OF status ON certificates WHEN NEW.status <> OLD.status BEGIN
  UPDATE roll_counts SET count = count - 1 WHERE kind = 'certificate' AND state = OLD.status;
  UPDATE roll_counts SET count = count + 1 WHERE kind = 'certificate' AND state = NEW.status;
END;
CREATE TRIGGER count_certificate_gone AFTER DELETE ON certificates BEGIN
  UPDATE roll_counts SET count = count - 1 WHERE kind = 'certificate' AND state = OLD.status;
END;

-- The attributes of devices once more, in an order that finds them.
CREATE TABLE device_attributes (
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  device_id TEXT NOT NULL,
  PRIMARY KEY (name, value, device_id)
) STRICT, WITHOUT ROWID;
INSERT INTO device_attributes SELECT one.key, one.value, devices.id FROM devices, json_each(devices.attributes) AS one;
CREATE TRIGGER attributes_added AFTER INSERT ON devices WHEN NEW.attributes <> '{}' BEGIN
  INSERT INTO device_attributes SELECT key, value, NEW.id FROM json_each(NEW.attributes);
END;
CREATE TRIGGER attributes_changed AFTER UPDATE OF attributes ON devices WHEN NEW.attributes <> OLD.attributes BEGIN
  DELETE FROM device_attributes WHERE (name, value, device_id) IN (SELECT key, value, OLD.id FROM json_each(OLD.attributes));
  INSERT INTO device_attributes SELECT key, value, NEW.id FROM json_each(NEW.attributes);
END;
CREATE TRIGGER attributes_gone AFTER DELETE ON devices BEGIN
  DELETE FROM device_attributes WHERE (name, value, device_id) IN (SELECT key, value, OLD.id FROM json_each(OLD.attributes));
END;

CREATE INDEX devices_by_state ON devices (state, id);
CREATE INDEX certificates_pinned_by_serial ON certificates (serial_number) WHERE issuer_id IS NULL;

-- Who is connected, as brokers noted it: shown to operators, decided upon never. A broker forgets its rows when it starts
-- and when it stops.
CREATE TABLE live_sessions (
  device_id TEXT NOT NULL,
  client_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  address TEXT NOT NULL,
  since INTEGER NOT NULL,
  facts TEXT NOT NULL CHECK (json_valid(facts)),
  PRIMARY KEY (device_id, client_id, node_id)
) STRICT, WITHOUT ROWID;
ALTER TABLE nodes ADD COLUMN sessions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN version TEXT NOT NULL DEFAULT '';
`
