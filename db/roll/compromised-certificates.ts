// Certificates that admit, or may again, although their key was revoked for compromise, or was certified by a request that such a
// key authenticated: older versions revoked one certificate alone. They stay as they are until an operator decides.
import type { Database } from 'better-sqlite3'

const LIVE = "'pending', 'issued', 'active', 'superseded', 'suspended'"

/** One row with one JSON list of fingerprints, in a schema that has the lineage. Cross joins keep the order: compromised keys are few. */
export const compromisedCertificatesSql = `WITH RECURSIVE fallen (spki_hash) AS (
    SELECT spki_hash FROM compromised_keys
    UNION
    SELECT c.spki_hash FROM fallen
    JOIN certificate_lineage l ON l.authenticated_key = fallen.spki_hash AND l.approved_at IS NULL
    JOIN certificates c ON c.fingerprint = l.fingerprint
  )
  SELECT json_group_array(c.fingerprint) FROM fallen
  CROSS JOIN public_keys p ON p.spki_hash = fallen.spki_hash
  CROSS JOIN certificates c ON c.device_id = p.device_id AND c.spki_hash = p.spki_hash
  WHERE c.status IN (${LIVE})`

/** The same, as far as an older schema can tell: those that share a key with one that was revoked for compromise. */
export const compromisedKeySql = `SELECT json_group_array(DISTINCT c.fingerprint) FROM certificates r
  CROSS JOIN certificates c ON c.device_id = r.device_id AND c.spki_hash = r.spki_hash
  WHERE r.status = 'revoked' AND r.revocation_reason = 'keyCompromise' AND c.status IN (${LIVE})`

export function readCompromisedCertificates(sqlite: Database): string[] {
  return JSON.parse(String(sqlite.prepare(compromisedCertificatesSql).pluck().get()))
}
