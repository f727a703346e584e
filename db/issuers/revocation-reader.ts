// What CRL and OCSP ask of the roll: how one certificate stands, and all that are withdrawn, page by page.
// Raw SQL on purpose, as in the admission look-up; what a row means is decided elsewhere.
import type { Database } from 'better-sqlite3'
import type { CertificateStatus, DeviceState } from '../schema.ts'

/** Times in ms since the epoch. `changedAt` is the last move of the certificate, `deviceChangedAt` of its device. */
export type RevocationRow = {
  serialNumber: string
  status: CertificateStatus
  revocationReason: string | null
  notAfter: number
  graceUntil: number | null
  issuedAt: number
  revokedAt: number | null
  changedAt: number | null
  deviceState: DeviceState
  deviceChangedAt: number | null
}

export type RevocationReader = {
  /** Another value whenever something may have been withdrawn, or given back, since the last one. */
  version(): string
  /** A listed or claim certificate of this issuer, null where it lists none of this serial number. */
  status(issuerId: string, serialNumber: string): RevocationRow | null
  /** Whether a certificate of this issuer and serial number left the CA without being listed, as a server's does. */
  signed(issuerId: string, serialNumber: string): boolean
  /** All that may not be good and ends after `from`: pages of some hundreds of rows, each read at once. */
  withdrawn(issuerId: string, from: number): Generator<RevocationRow[], void, undefined>
}

const ROWS_AT_ONCE = 500
const DEVICES_AT_ONCE = 100

const lastMove = (column: 'fingerprint' | 'device_id', value: string, kind: string) =>
  `(SELECT max(at) FROM changes WHERE ${column} = ${value} AND kind = '${kind}')`

const certificateColumns = `
  c.serial_number AS serialNumber, c.status, c.revocation_reason AS revocationReason, c.not_after AS notAfter,
  c.grace_until AS graceUntil, c.issued_at AS issuedAt, c.revoked_at AS revokedAt,
  CASE WHEN c.status IN ('revoked', 'retired', 'issued', 'active', 'superseded') THEN NULL
       ELSE ${lastMove('fingerprint', 'c.fingerprint', 'certificate')} END AS changedAt`

const deviceMoved = (id: string, state: string) =>
  `CASE WHEN ${state} IN ('suspended', 'decommissioned') THEN ${lastMove('device_id', id, 'device')} END`

export function prepareRevocationReader(sqlite: Database): RevocationReader {
  const one = sqlite.prepare<[string, string], RevocationRow>(
    `SELECT ${certificateColumns}, d.state AS deviceState, ${deviceMoved('d.id', 'd.state')} AS deviceChangedAt
     FROM certificates c JOIN devices d ON d.id = c.device_id WHERE c.issuer_id = ? AND c.serial_number = ?`,
  )
  const issuance = sqlite
    .prepare<[string, string], number>(
      // What was made for a device is listed, or was taken off the roll by a version of before.
      `SELECT 1 FROM issuances WHERE serial_number = ? AND issuer_id = ? AND fingerprint IS NOT NULL
         AND purpose <> 'device'`,
    )
    .pluck()
  // Claims are few, and on a list of their own.
  const claimColumns = `
    serial_number AS serialNumber, CASE WHEN revoked_at IS NULL THEN 'active' ELSE 'revoked' END AS status,
    NULL AS revocationReason, not_after AS notAfter, NULL AS graceUntil, created_at AS issuedAt, revoked_at AS revokedAt,
    NULL AS changedAt, 'active' AS deviceState, NULL AS deviceChangedAt`
  const claim = sqlite.prepare<[string, string], RevocationRow>(
    `SELECT ${claimColumns} FROM claims WHERE issuer_id = ? AND serial_number = ? AND fingerprint IS NOT NULL`,
  )
  const revokedClaims = sqlite.prepare<[string, number], RevocationRow>(
    `SELECT ${claimColumns} FROM claims WHERE issuer_id = ? AND revoked_at IS NOT NULL AND not_after > ?`,
  )
  const version = sqlite
    .prepare<[], string>(
      `SELECT coalesce((SELECT max(epoch) FROM changes), 0) || '.' ||
              (SELECT count(*) FROM claims WHERE revoked_at IS NOT NULL)`,
    )
    .pluck()
  const byStatus = sqlite.prepare<[string, number, string], RevocationRow>(
    `SELECT ${certificateColumns}, 'active' AS deviceState, NULL AS deviceChangedAt
     FROM certificates c INDEXED BY certificates_withdrawn
     WHERE c.issuer_id = ? AND c.status NOT IN ('issued', 'active', 'superseded')
       AND (c.not_after, c.serial_number) > (?, ?)
     ORDER BY c.not_after, c.serial_number LIMIT ${ROWS_AT_ONCE}`,
  )
  const byDevice = sqlite.prepare<[string, string], RevocationRow & { deviceId: string }>(
    `SELECT d.id AS deviceId, ${certificateColumns}, d.state AS deviceState,
            ${deviceMoved('d.id', 'd.state')} AS deviceChangedAt
     FROM (SELECT id, state FROM devices WHERE state IN ('suspended', 'decommissioned') AND id > ?
           ORDER BY id LIMIT ${DEVICES_AT_ONCE}) d
     LEFT JOIN certificates c INDEXED BY certificates_by_device
       ON c.device_id = d.id AND c.issuer_id = ? AND c.status IN ('issued', 'active', 'superseded')
     ORDER BY d.id`,
  )
  return {
    version: () => version.get() ?? '',
    status: (issuerId, serialNumber) =>
      one.get(issuerId, serialNumber) ?? claim.get(issuerId, serialNumber) ?? null,
    signed: (issuerId, serialNumber) => issuance.get(serialNumber, issuerId) !== undefined,

    *withdrawn(issuerId, from) {
      yield revokedClaims.all(issuerId, from)
      let [notAfter, serialNumber] = [from, '']
      for (let more = true; more; ) {
        const rows = byStatus.all(issuerId, notAfter, serialNumber)
        const last = rows.at(-1)
        if (last !== undefined) [notAfter, serialNumber] = [last.notAfter, last.serialNumber]
        more = rows.length === ROWS_AT_ONCE
        yield rows
      }
      for (let after: string | undefined = ''; after !== undefined; ) {
        const rows = byDevice.all(after, issuerId)
        yield rows.filter(row => row.serialNumber !== null && row.notAfter > from)
        after = rows.at(-1)?.deviceId
      }
    },
  }
}
