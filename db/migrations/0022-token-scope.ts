// Enrollment tokens keep the scope of their maker, and policies attached to forgotten devices are deleted.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.

export const name = 'token-reach'

const operators = (table: string) =>
  `SELECT name FROM ${table} WHERE role IN ('operator', 'admin') AND scope_group IS NULL`
const scope = (table: string) =>
  `SELECT scope_group FROM ${table} WHERE name = created_by AND scope_group IS NOT NULL`

export const sql = `
-- The one group whose policies its certificate may bring: '' for none, null where an operator of everything made the token.
ALTER TABLE enrollment_tokens ADD COLUMN made_within TEXT;
UPDATE enrollment_tokens SET made_within = coalesce((${scope('api_tokens')} LIMIT 1), (${scope('operator_certificates')} LIMIT 1), '')
  WHERE used_at IS NULL AND created_by NOT IN (${operators('api_tokens')} UNION ${operators('operator_certificates')});

-- A device that registered itself and was forgotten left them for whoever comes by its name.
DELETE FROM policy_attachments WHERE kind = 'device' AND target NOT IN (SELECT id FROM devices);
`
