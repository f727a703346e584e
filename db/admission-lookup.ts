// The one look-up every connection pays for: what the record holds about a fingerprint, in one prepared statement
// and so one snapshot. Raw SQL on purpose: a point look-up of some 5 µs needs no cache in front of it.
import type { Database } from 'better-sqlite3'
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
  keyType: string
  serialNumber: string
  issuerId: string | null
  /** False where the issuer or the issuer above it is disabled. */
  issuerEnabled: boolean
  /** When the first of the issuers above it expires; null where pinned without issuer. */
  issuerNotAfter: number | null
}

export type AdmissionLookup = (fingerprint: string) => AdmissionRecord | null

type Row = Omit<AdmissionRecord, 'clientAuth' | 'isCa' | 'issuerEnabled'> & {
  clientAuth: number
  isCa: number
  issuerEnabled: number
}

// Sub-selects, not joins: SQLite with STAT4 plans a join anew for every bound value, which costs 20 µs a look-up.
const issuer = (column: string) => `(SELECT ${column} FROM issuers i WHERE i.id = c.issuer_id)`
const parent = (column: string) =>
  `(SELECT ${column} FROM issuers p WHERE p.id = (SELECT parent_id FROM issuers i WHERE i.id = c.issuer_id))`

const statement = `
SELECT c.fingerprint, c.device_id AS deviceId, c.status, c.trust,
       (SELECT state FROM devices d WHERE d.id = c.device_id) AS deviceState,
       c.not_before AS notBefore, c.not_after AS notAfter, c.grace_until AS graceUntil, c.first_used_at AS firstUsedAt,
       c.client_auth AS clientAuth, c.is_ca AS isCa, c.key_type AS keyType, c.serial_number AS serialNumber,
       c.issuer_id AS issuerId,
       coalesce(${issuer('enabled')}, 1) AND coalesce(${parent('enabled')}, 1) AS issuerEnabled,
       min(${issuer('not_after')}, coalesce(${parent('not_after')}, ${issuer('not_after')})) AS issuerNotAfter
FROM certificates c
WHERE c.fingerprint = ?`

/** Prepares the look-up on a connection. It throws where the registry cannot be read; the caller then refuses. */
export function prepareAdmissionLookup(sqlite: Database): AdmissionLookup {
  const select = sqlite.prepare<[string], Row>(statement)
  return fingerprint => {
    const row = select.get(fingerprint)
    if (row === undefined) return null
    return {
      ...row,
      clientAuth: row.clientAuth === 1,
      isCa: row.isCa === 1,
      issuerEnabled: row.issuerEnabled === 1,
    }
  }
}

/** Prepares what the change feed asks about a device: its state and the fingerprints on its name. */
export function prepareDeviceLookup(
  sqlite: Database,
): (deviceId: string) => { state: DeviceState; fingerprints: string[] } | null {
  const state = sqlite.prepare<[string], DeviceState>('SELECT state FROM devices WHERE id = ?').pluck()
  const fingerprints = sqlite
    .prepare<[string], string>('SELECT fingerprint FROM certificates WHERE device_id = ?')
    .pluck()
  return deviceId => {
    const found = state.get(deviceId)
    return found === undefined ? null : { state: found, fingerprints: fingerprints.all(deviceId) }
  }
}
