// The audit log by time: a search of one day in a log of years, and the look for a row beside each new device at a start.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'audit-times'

export const sql = `
CREATE INDEX audit_by_time ON audit (at);
`
