// Brokers ask whether a change deleted its device: by its name and the time, which the keys of a deleted device carry.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'deleted-devices-by-name'

export const sql = `
CREATE INDEX retired_keys_by_device ON retired_keys (device_id, retired_at);
`
