// The one look-up every connection pays for: what the record holds about a fingerprint, in one prepared statement
// and so one snapshot. Raw SQL on purpose: a point look-up of some 5 µs needs no cache in front of it.
import type { Database } from 'better-sqlite3'
import type { LeafDefect } from '../pki/leaf-conformance.ts'
import { lastChangeSql } from './change-feed.ts'
import type { CertificateStatus, DeviceState, Trust } from './schema.ts'

/** All that the registry knows about a listed certificate when somebody knocks with it. Times in ms since the epoch. */
export type AdmissionRecord = {
  fingerprint: string
  deviceId: string
  deviceState: DeviceState
  status: CertificateStatus
  trust: Trust
  notBefore: number
  notAfter: number
  graceUntil: number | null
  firstUsedAt: number | null
  clientAuth: boolean
  isCa: boolean
  /** For what RFC 5280 forbids to rely on it; null where nothing does. */
  defect: LeafDefect | null
  /** Whether it is admitted all the same, as one that an older version let in. */
  defectGrace: boolean
  keyType: string
  serialNumber: string
  issuerId: string | null
  /** False where the issuer or one above it is disabled. */
  issuerEnabled: boolean
  /** Whether the CRL of a CA above the issuer lists the issuer. */
  issuerRevoked: boolean
  /** Whether the issuer's CRL lists the certificate. */
  revokedByIssuer: boolean
  /** When the first of the issuers above it expires; null where pinned without issuer. */
  issuerNotAfter: number | null
  /** The last row of the change feed when it was read: whatever ends a right appends one. Null where the feed could not be read. */
  lastChange: string | null
}

export type AdmissionLookup = (fingerprint: string) => AdmissionRecord | null

type Flag = 'clientAuth' | 'defectGrace' | 'isCa' | 'issuerEnabled' | 'issuerRevoked' | 'revokedByIssuer'
type Row = Omit<AdmissionRecord, Flag> & Record<Flag, number>

// Sub-selects, not joins: SQLite with STAT4 plans a join anew for every bound value, which costs 20 µs a look-up.
/** About the issuer and the two CAs above it, as far as chains are followed. */
const issuerFact = (what: string) => `(SELECT ${what} FROM issuers i
          LEFT JOIN issuers p ON p.id = i.parent_id LEFT JOIN issuers g ON g.id = p.parent_id
          WHERE i.id = c.issuer_id)`

const statement = (lastChange: string) => `
SELECT (${lastChange}) AS lastChange, c.fingerprint, c.device_id AS deviceId, c.status, c.trust,
       (SELECT state FROM devices d WHERE d.id = c.device_id) AS deviceState,
       c.not_before AS notBefore, c.not_after AS notAfter, c.grace_until AS graceUntil, c.first_used_at AS firstUsedAt,
       c.client_auth AS clientAuth, c.is_ca AS isCa, c.defect, c.defect_grace AS defectGrace, c.key_type AS keyType, c.serial_number AS serialNumber,
       c.issuer_id AS issuerId,
       coalesce(${issuerFact('i.enabled AND coalesce(p.enabled, 1) AND coalesce(g.enabled, 1)')}, 1) AS issuerEnabled,
       coalesce(${issuerFact('i.revoked OR coalesce(p.revoked, 0) OR coalesce(g.revoked, 0)')}, 0) AS issuerRevoked,
       ${issuerFact('min(i.not_after, coalesce(p.not_after, i.not_after), coalesce(g.not_after, i.not_after))')} AS issuerNotAfter,
       EXISTS (SELECT 1 FROM issuer_revocations r WHERE r.serial_number = c.serial_number
         AND r.crl_id = (SELECT crl_id FROM issuers WHERE id = c.issuer_id)) AS revokedByIssuer
FROM certificates c
WHERE c.fingerprint = ?`

/** Prepares the look-up on a connection. It throws where the registry cannot be read; the caller then refuses. */
export function prepareAdmissionLookup(sqlite: Database): AdmissionLookup {
  const select = sqlite.prepare<[string], Row>(statement(lastChangeSql))
  const selectAlone = sqlite.prepare<[string], Row>(statement('NULL'))

  function read(fingerprint: string): Row | undefined {
    try {
      return select.get(fingerprint)
    } catch {
      return selectAlone.get(fingerprint) // how long the feed may be unreadable is decided elsewhere
    }
  }

  return fingerprint => {
    const row = read(fingerprint)
    if (row === undefined) return null
    return {
      ...row,
      clientAuth: row.clientAuth === 1,
      isCa: row.isCa === 1,
      defectGrace: row.defectGrace === 1,
      issuerEnabled: row.issuerEnabled === 1,
      issuerRevoked: row.issuerRevoked === 1,
      revokedByIssuer: row.revokedByIssuer === 1,
    }
  }
}

export type DeviceNow = {
  state: DeviceState
  certificates: { fingerprint: string; status: CertificateStatus }[]
}

/** Prepares the look-up of a device: its state, and the certificates on its name with their statuses; null for no device. */
export function prepareDeviceLookup(sqlite: Database): (deviceId: string) => DeviceNow | null {
  const state = sqlite.prepare<[string], DeviceState>('SELECT state FROM devices WHERE id = ?').pluck()
  const certificates = sqlite.prepare<[string], DeviceNow['certificates'][number]>(
    'SELECT fingerprint, status FROM certificates WHERE device_id = ?',
  )
  return deviceId => {
    const found = state.get(deviceId)
    return found === undefined ? null : { state: found, certificates: certificates.all(deviceId) }
  }
}
