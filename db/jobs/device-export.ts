// The whole roll at one moment, device by device: a connection and a read transaction of its own, so that what changes
// meanwhile is not half in it. Holds at most a page in memory.
import { openForReading } from '../open.ts'
import type { DeviceFilter } from '../roll/device-filter.ts'
import { type DeviceKey, prepareDeviceList } from '../roll/device-list.ts'
import { type LastSeen, prepareLastSeen } from '../roll/last-seen.ts'
import type { CertificateStatus, DeviceState, Trust } from '../schema.ts'

/** Times in ms since the epoch. */
export type ExportedCertificate = {
  fingerprint: string
  status: CertificateStatus
  revocationReason: string | null
  trust: Trust
  issuerId: string | null
  serialNumber: string
  keyType: string
  spkiHash: string
  notBefore: number
  notAfter: number
  issuedAt: number
  firstUsedAt: number | null
  revokedAt: number | null
  der: Buffer
}
export type ExportedDevice = {
  deviceId: string
  state: DeviceState
  attributes: Record<string, string>
  groups: string[]
  /** SHA-256 of the endorsement key that an operator put on record; absent where none did. */
  endorsementKey?: string
  createdAt: number
  updatedAt: number
  /** Null where it never connected. */
  lastSeen: LastSeen | null
  /** The oldest first; with a filter by status only those that have it. */
  certificates: ExportedCertificate[]
}
export type ExportFilter = DeviceFilter & {
  /** Only devices that have a certificate of this status. */
  status?: CertificateStatus | undefined
}
export type DeviceExport = {
  /** The next devices by ID: none where none of those that were looked at fits, null at the end. */
  page(): ExportedDevice[] | null
  close(): Promise<void>
}

/** Each may have 64 KiB of attributes: a page takes some milliseconds even then. */
const PAGE_DEVICES = 10
/** So many are found at once. */
const FOUND_AT_ONCE = 500

export function openDeviceExport(file: string, filter: ExportFilter, now: number): DeviceExport {
  const { sqlite, query } = openForReading(file)
  sqlite.exec('BEGIN')
  const { status = null, ...others } = filter
  const list = prepareDeviceList({ sqlite })
  const lastSeen = prepareLastSeen(sqlite)
  const devices = sqlite.prepare<
    [object],
    Omit<ExportedDevice, 'attributes' | 'groups' | 'certificates' | 'lastSeen' | 'endorsementKey'> & {
      attributes: string
      groups: string
      endorsementKey: string | null
    }
  >(
    `SELECT id AS deviceId, state, attributes, created_at AS createdAt, updated_at AS updatedAt,
       (SELECT json_group_array(name) FROM device_groups WHERE device_id = devices.id) AS groups,
       (SELECT ek_hash FROM endorsement_keys WHERE device_id = devices.id AND vouched_by = 'operator') AS endorsementKey
     FROM devices WHERE id IN (SELECT value FROM json_each(@ids)) AND (@status IS NULL OR EXISTS
       (SELECT 1 FROM certificates WHERE device_id = devices.id AND status = @status))
     ORDER BY id`,
  )
  const certificates = sqlite.prepare<[object], ExportedCertificate>(
    `SELECT fingerprint, status, revocation_reason AS revocationReason, trust, issuer_id AS issuerId,
       serial_number AS serialNumber, key_type AS keyType, spki_hash AS spkiHash, not_before AS notBefore,
       not_after AS notAfter, issued_at AS issuedAt, first_used_at AS firstUsedAt, revoked_at AS revokedAt, der
     FROM certificates WHERE device_id = @deviceId AND (@status IS NULL OR status = @status) ORDER BY rowid`,
  )
  let found: string[] = []
  let next: DeviceKey | null | undefined
  return {
    page() {
      if (found.length === 0) {
        if (next === null) return null
        const listed = list(others, next ?? null, FOUND_AT_ONCE, now)
        found = listed.ids
        next = listed.next
      }
      const ids = JSON.stringify(found.splice(0, PAGE_DEVICES))
      const rows = devices.all({ ids, status })
      const seen = lastSeen.ofDevices(
        rows.map(({ deviceId }) => deviceId),
        now,
      )
      return rows.map(({ endorsementKey, ...device }) => ({
        ...device,
        // An import puts it on the operator's list, so no other is written.
        ...(endorsementKey === null ? {} : { endorsementKey }),
        lastSeen: seen.get(device.deviceId) ?? null,
        // Read when it is asked for, so that a damaged row fails alone.
        get attributes() {
          return JSON.parse(device.attributes)
        },
        groups: JSON.parse(device.groups),
        certificates: certificates.all({ deviceId: device.deviceId, status }),
      }))
    },
    async close() {
      await query.destroy()
      sqlite.close()
    },
  }
}
