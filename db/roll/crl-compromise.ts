// Keys that the CRL in force of a trust anchor lists as compromised end as by an operator's word: every certificate of the key,
// and every one obtained with it. The list itself keeps out only the certificate that it names.
import type { Transaction } from 'kysely'
import type { Actor } from '../audit/audit.ts'
import { reasonListed } from '../issuers/issuer-store.ts'
import type { Registry } from '../open.ts'
import type { Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'
import { transactUrgently } from '../transact.ts'
import { type NamedCertificate, revokeAllOf, revokeKeyOf } from './key-revocation.ts'

export type ListedKeys = {
  /** The serial number to go on after; null at the end of the list. */
  next: string | null
  /** On record, and not yet revoked for it. */
  serialNumbers: string[]
}

export type CrlCompromiseWriter = {
  /** Reads one slice of the CRL in force: which of its compromised keys are on record. Synchronous. */
  keysListedAfter(issuerId: string, after: string, limit: number): ListedKeys
  /** Gives the epoch of the last change; null where nothing was left to revoke. */
  revokeListedKeys(issuerId: string, serialNumbers: readonly string[], actor: Actor): Promise<number | null>
}

type Certificate = NamedCertificate & { declared: number }
type Idevid = { fingerprint: string; spkiHash: string; declared: number }

const COMPROMISE = 'keyCompromise'
const sliceSql = `SELECT serial_number AS serialNumber, reason FROM issuer_revocations
  WHERE crl_id = (SELECT crl_id FROM issuers WHERE id = ?) AND serial_number > ? ORDER BY serial_number LIMIT ?`
const certificateSql = `SELECT c.fingerprint, c.status, c.device_id AS deviceId, c.spki_hash AS spkiHash,
    c.revocation_reason AS revocationReason,
    EXISTS (SELECT 1 FROM compromised_keys k WHERE k.spki_hash = c.spki_hash) AS declared
  FROM certificates c WHERE c.issuer_id = ? AND c.serial_number = ?`
/** Its key is known by what it obtained. */
const idevidSql = `SELECT i.fingerprint, l.authenticated_key AS spkiHash,
    EXISTS (SELECT 1 FROM compromised_keys k WHERE k.spki_hash = l.authenticated_key) AS declared
  FROM idevids i JOIN certificates c ON c.device_id = i.device_id
  JOIN certificate_lineage l ON l.fingerprint = c.fingerprint AND l.authenticated_by = i.fingerprint
  WHERE i.issuer_id = ? AND i.serial_number = ? LIMIT 1`

export function createCrlCompromiseWriter(registry: Registry, now: () => number): CrlCompromiseWriter {
  const { sqlite } = registry
  const slice = sqlite.prepare<[string, string, number], { serialNumber: string; reason: string }>(sliceSql)
  const certificate = sqlite.prepare<[string, string], Certificate>(certificateSql)
  const idevid = sqlite.prepare<[string, string], Idevid>(idevidSql)
  const isOpen = (issuerId: string, serialNumber: string) => {
    const listed = certificate.get(issuerId, serialNumber)
    return (listed !== undefined && !isRevoked(listed)) || idevid.get(issuerId, serialNumber)?.declared === 0
  }
  return {
    keysListedAfter(issuerId, after, limit) {
      const rows = slice.all(issuerId, after, limit)
      const compromised = rows.filter(({ reason }) => reason === COMPROMISE)
      return {
        next: rows.length < limit ? null : rows.at(-1)!.serialNumber,
        serialNumbers: compromised.map(row => row.serialNumber).filter(serial => isOpen(issuerId, serial)),
      }
    },

    revokeListedKeys: (issuerId, serialNumbers, actor) =>
      transactUrgently(registry, async transaction => {
        let epoch: number | null = null
        for (const serialNumber of serialNumbers)
          epoch = (await revokeIfListed(transaction, { issuerId, serialNumber }, actor, now())) ?? epoch
        return epoch
      }),
  }
}

/** Revokes the key of a certificate or IDevID that the CRL in force lists as compromised, as part of a larger change. */
export async function revokeIfListed(
  transaction: Transaction<Schema>,
  { issuerId, serialNumber }: { issuerId: string; serialNumber: string },
  { name, kind }: Actor,
  at: number,
): Promise<number | null> {
  if ((await reasonListed(transaction, issuerId, serialNumber)) !== COMPROMISE) return null
  // The caller's Idempotency-Key, if any, stands for the larger change.
  const actor: Actor = { name, kind }
  let epoch: number | null = null
  const [idevid] = await rowsOf<Idevid>(transaction, idevidSql, issuerId, serialNumber)
  if (idevid?.declared === 0) epoch = await revokeAllOf(transaction, idevid, actor, at)
  const [listed] = await rowsOf<Certificate>(transaction, certificateSql, issuerId, serialNumber)
  if (listed === undefined || isRevoked(listed)) return epoch
  const why = { because: 'crl', issuer: issuerId } as const
  return (await revokeKeyOf(transaction, listed, actor, at, why)) ?? epoch
}

function isRevoked({ status, revocationReason, declared }: Certificate): boolean {
  return status === 'revoked' && revocationReason === COMPROMISE && declared === 1
}
