// Which of several services works off an import, and when it last said so: its rows lie there alone.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'served-jobs'

export const sql = `
-- The machine of the service that took the upload; null where one service has the registry alone, and for older jobs.
ALTER TABLE jobs ADD COLUMN service TEXT;
ALTER TABLE jobs ADD COLUMN served_at INTEGER;
`
