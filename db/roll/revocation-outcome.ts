// What a revocation came to, told from the record: the certificates that it revoked together, and what of their devices is
// admitted all the same. Asked again it gives the same, so a lost answer can be had once more.
import type { Database } from 'better-sqlite3'
import type { CertificateStatus } from '../schema.ts'
import { admissibleCertificatesSql } from './admissible-certificates.ts'

/** Why it was revoked: it was named, it has the key that was, or it was obtained with that key. */
type Because = 'named' | 'key' | 'lineage'
type RevokedTogether = { fingerprint: string; deviceId: string; because: Because }
/** Times in ms since the epoch. */
export type StillAdmissible = {
  fingerprint: string
  deviceId: string
  status: CertificateStatus
  notAfter: number
  graceUntil: number | null
}

export type RevocationOutcome = {
  /** The certificate that was named first, then the others in the order they were listed. */
  revokedWith(fingerprint: string): RevokedTogether[]
  /** Certificates that admit one of these devices at a time, as far as the record alone can tell. */
  stillAdmitting(deviceIds: readonly string[], at: number): StillAdmissible[]
  /** The epochs at which these certificates last changed. */
  epochsOf(fingerprints: readonly string[]): number[]
}

type Row = { fingerprint: string; deviceId: string; spkiHash: string }

export function prepareRevocationOutcome(sqlite: Database): RevocationOutcome {
  const one = sqlite.prepare<[string], Row>(
    `SELECT fingerprint, device_id AS deviceId, spki_hash AS spkiHash FROM certificates
     WHERE fingerprint = ? AND status = 'revoked'`,
  )
  const together = sqlite.prepare<[string], Row>(
    `SELECT c.fingerprint, c.device_id AS deviceId, c.spki_hash AS spkiHash FROM compromised_keys own
     JOIN compromised_keys k ON k.declared_by = own.declared_by
     JOIN public_keys p ON p.spki_hash = k.spki_hash
     JOIN certificates c ON c.device_id = p.device_id AND c.spki_hash = k.spki_hash
     WHERE own.spki_hash = ? AND c.status = 'revoked' AND c.revocation_reason = 'keyCompromise'
     ORDER BY c.rowid`,
  )
  const state = sqlite.prepare<[string], string>('SELECT state FROM devices WHERE id = ?').pluck()
  const admitting = sqlite.prepare<[string, number, number], Omit<StillAdmissible, 'deviceId'>>(
    admissibleCertificatesSql,
  )
  const epoch = sqlite
    .prepare<[string], number | null>(
      `SELECT max(epoch) FROM changes WHERE fingerprint = ? AND kind = 'certificate'`,
    )
    .pluck()
  return {
    revokedWith(fingerprint) {
      const named = one.get(fingerprint)
      if (named === undefined) return []
      const { deviceId, spkiHash } = named
      const others = together.all(spkiHash).filter(row => row.fingerprint !== fingerprint)
      return [
        { fingerprint, deviceId, because: 'named' },
        ...others.map(row => ({
          fingerprint: row.fingerprint,
          deviceId: row.deviceId,
          because: row.spkiHash === spkiHash ? ('key' as const) : ('lineage' as const),
        })),
      ]
    },

    stillAdmitting: (deviceIds, at) =>
      [...new Set(deviceIds)].flatMap(deviceId => {
        const inside = state.get(deviceId) === 'active' || state.get(deviceId) === 'registered'
        if (!inside) return []
        return admitting.all(deviceId, at, at).map(({ fingerprint, status, notAfter, graceUntil }) => ({
          ...{ fingerprint, deviceId, status, notAfter, graceUntil },
        }))
      }),

    epochsOf: fingerprints => fingerprints.map(fingerprint => epoch.get(fingerprint) ?? 0),
  }
}
