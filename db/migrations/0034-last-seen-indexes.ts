// Bytes change with every note of a device: their two indexes cost more than half of the note of a connection.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'last-seen-indexes'

export const sql = `
DROP INDEX last_seen_by_bytes_in;
DROP INDEX last_seen_by_bytes_out;
`
