// Import jobs remember how often the process ended while it worked at the same rows.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'job-interruptions'

export const sql = `
-- Begun and not left in order, at rows_done; 0 again with every row that is done.
ALTER TABLE jobs ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0;
`
