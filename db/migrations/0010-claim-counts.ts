// How many devices a claim has enrolled, beside it: counting them for each of a hundred thousand would take too long.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'claim-counts'

export const sql = `
ALTER TABLE claims ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0;
UPDATE claims SET claimed = (SELECT count(*) FROM claimed_devices d WHERE d.claim_id = claims.id);
`
