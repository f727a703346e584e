// What a broker says of its links where there are several machines: its replica of the registry, and the bus.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'node-links'

export const sql = `
-- Null where the broker reads the registry itself.
ALTER TABLE nodes ADD COLUMN replica_sequence INTEGER;
ALTER TABLE nodes ADD COLUMN replica_age_ms INTEGER;
-- 1 or 0; null where it has none.
ALTER TABLE nodes ADD COLUMN bus_connected INTEGER;
`
