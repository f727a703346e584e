// The whole roll at one moment, device by device: a connection and a read transaction of its own, so that what changes
// meanwhile is not half in it. Holds at most a page in memory.
import { openForReading } from '../open.ts'
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
  createdAt: number
  updatedAt: number
  /** The oldest first; with a filter by status only those that have it. */
  certificates: ExportedCertificate[]
}
export type ExportFilter = {
  state?: DeviceState | undefined
  group?: string | undefined
  /** Only devices that have a certificate of this status. */
  status?: CertificateStatus | undefined
}
export type DeviceExport = {
  /** Devices after this one, by ID; none at the end. */
  page(after: string): ExportedDevice[]
  close(): Promise<void>
}

/** Each may have 64 KiB of attributes: a page takes some milliseconds even then. */
const PAGE_DEVICES = 10

export function openDeviceExport(file: string, filter: ExportFilter): DeviceExport {
  const { sqlite, query } = openForReading(file)
  sqlite.exec('BEGIN')
  const { state = null, group = null, status = null } = filter
  const devices = sqlite.prepare<
    [object],
    Omit<ExportedDevice, 'attributes' | 'groups' | 'certificates'> & { attributes: string; groups: string }
  >(
    `SELECT id AS deviceId, state, attributes, created_at AS createdAt, updated_at AS updatedAt,
       (SELECT json_group_array(name) FROM device_groups WHERE device_id = devices.id) AS groups
     FROM devices WHERE id > @after AND (@state IS NULL OR state = @state)
       AND (@group IS NULL OR id IN (SELECT device_id FROM device_groups WHERE name = @group))
       AND (@status IS NULL OR EXISTS
         (SELECT 1 FROM certificates WHERE device_id = devices.id AND status = @status))
     ORDER BY id LIMIT ${PAGE_DEVICES}`,
  )
  const certificates = sqlite.prepare<[object], ExportedCertificate>(
    `SELECT fingerprint, status, revocation_reason AS revocationReason, trust, issuer_id AS issuerId,
       serial_number AS serialNumber, key_type AS keyType, spki_hash AS spkiHash, not_before AS notBefore,
       not_after AS notAfter, issued_at AS issuedAt, first_used_at AS firstUsedAt, revoked_at AS revokedAt, der
     FROM certificates WHERE device_id = @deviceId AND (@status IS NULL OR status = @status) ORDER BY rowid`,
  )
  return {
    page: after =>
      devices.all({ after, state, group, status }).map(device => ({
        ...device,
        // Read when it is asked for, so that a damaged row fails alone.
        get attributes() {
          return JSON.parse(device.attributes)
        },
        groups: JSON.parse(device.groups),
        certificates: certificates.all({ deviceId: device.deviceId, status }),
      })),
    async close() {
      await query.destroy()
      sqlite.close()
    },
  }
}
