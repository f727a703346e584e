// Lineage: which certificate authenticated the request for another one. What a key obtained falls with that key, unless an
// operator approved it meanwhile.
import type { Transaction } from 'kysely'
import { assertNotCompromised } from '../keys/public-keys.ts'
import type { Schema } from '../schema.ts'
import { insert, rowsOf, run } from '../statement.ts'
import { Conflict } from '../transact.ts'

/** The certificate that a handshake proved, on the roll or not: a claim certificate or an IDevID is none of a device's. */
export type Authenticator = { fingerprint: string; spkiHash: string }

/** Held by an operator, or never let in: what it asks for is refused, too. */
const OUT: ReadonlySet<string> = new Set(['pending', 'suspended', 'rejected', 'revoked'])

/**
 * Asked again in each transaction that follows from a request: it may have been revoked while the request was served.
 * @throws {Conflict} `public_key_compromised`, `certificate_status_forbids`
 */
export async function assertMayAuthenticate(
  transaction: Transaction<Schema>,
  { fingerprint, spkiHash }: Authenticator,
): Promise<void> {
  await assertNotCompromised(transaction, spkiHash)
  const [row] = await rowsOf<{ status: string }>(
    transaction,
    'SELECT status FROM certificates WHERE fingerprint = ?',
    fingerprint,
  )
  if (row === undefined || !OUT.has(row.status)) return
  throw new Conflict(
    'certificate_status_forbids',
    `the certificate that asks is ${row.status}: it obtains no other`,
  )
}

export async function recordLineage(
  transaction: Transaction<Schema>,
  fingerprint: string,
  by: Authenticator,
): Promise<void> {
  await insert(transaction, 'certificate_lineage', {
    fingerprint,
    authenticated_by: by.fingerprint,
    authenticated_key: by.spkiHash,
    approved_at: null,
  })
}

/** It stands on an operator's word from now on. */
export async function approveLineage(
  transaction: Transaction<Schema>,
  fingerprint: string,
  at: number,
): Promise<void> {
  const text = 'UPDATE certificate_lineage SET approved_at = ? WHERE fingerprint = ? AND approved_at IS NULL'
  await run(transaction, text, at, fingerprint)
}

/** A key, and every key that was certified by what it authenticated, over any number of renewals. */
export async function keysObtainedWith(
  transaction: Transaction<Schema>,
  spkiHash: string,
): Promise<string[]> {
  const rows = await rowsOf<{ spkiHash: string }>(transaction, obtainedSql, spkiHash)
  return rows.map(row => row.spkiHash)
}

const obtainedSql = `WITH RECURSIVE obtained (spki_hash) AS (
    VALUES (?)
    UNION
    SELECT c.spki_hash FROM obtained
    JOIN certificate_lineage l ON l.authenticated_key = obtained.spki_hash AND l.approved_at IS NULL
    JOIN certificates c ON c.fingerprint = l.fingerprint
  ) SELECT spki_hash AS spkiHash FROM obtained`
