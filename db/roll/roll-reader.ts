// Reading the roll: devices and certificates as operators see them, page by page.

import type { Selectable } from 'kysely'
import type { Registry } from '../open.ts'
import { type Page, pageOf } from '../page.ts'
import type { CertificateStatus, DeviceState, Schema, Trust } from '../schema.ts'
import type { DeviceFilter } from './device-filter.ts'
import { byId, type DeviceKey, type DeviceSort, prepareDeviceList } from './device-list.ts'

export type Device = {
  id: string
  state: DeviceState
  attributes: Record<string, string>
  groups: string[]
  createdAt: number
  updatedAt: number
  /** The newest that admits, or else the newest of all; null where it has none. */
  certificate: { status: CertificateStatus; notAfter: number } | null
}

/** A certificate on the roll. Times in ms since the epoch, hashes and serial number in lowercase hex. */
export type Certificate = {
  fingerprint: string
  deviceId: string
  status: CertificateStatus
  revocationReason: string | null
  trust: Trust
  issuerId: string | null
  serialNumber: string
  subject: string
  keyType: string
  spkiHash: string
  notBefore: number
  notAfter: number
  graceUntil: number | null
  issuedAt: number
  firstUsedAt: number | null
  revokedAt: number | null
  der: Buffer
}

type DeviceRow = Selectable<Schema['devices']>

export type Refusal = {
  at: number
  reason: string
  address: string
  fingerprint: string
  count: number
}

type CertificateFilter = {
  deviceId?: string | undefined
  status?: CertificateStatus | undefined
  scope?: string | null
}

export type RollReader = {
  device(id: string): Promise<Device | null>
  /** A page may end before its limit where few are found among many or devices have much to tell: `next` is to be continued after all the same. */
  devices(
    filter: DeviceFilter,
    after: DeviceKey | null,
    limit: number,
    now: number,
    sort?: DeviceSort,
  ): Promise<{ items: Device[]; next: DeviceKey | null }>
  /** How many devices fit; not `exact` where there may be more. */
  countDevices(filter: DeviceFilter, now: number): { count: number; exact: boolean }
  isMember(deviceId: string, group: string): boolean
  certificate(fingerprint: string): Promise<Certificate | null>
  /** That of an issuer's certificate, by its serial number in lowercase hex. */
  fingerprintOfSerial(issuerId: string, serialNumber: string): string | null
  certificates(filter: CertificateFilter, after: string | null, limit: number): Promise<Page<Certificate>>
  /** The last refusals seen, newest first, for a fingerprint or for a device. */
  refusals(of: { fingerprint: string } | { deviceId: string }, limit: number): Promise<Refusal[]>
}

/** Where devices have many and long attributes, a page ends once it holds so much of them. */
const PAGE_CHARACTERS_MAX = 512 * 1024
/** What a group counts for, whatever its name. */
const GROUP_CHARACTERS = 32
/** Devices read by one statement: with the longest attributes, 4 MiB beyond the end of the page. */
const READ_AT_ONCE = 64

export function createRollReader(registry: Registry): RollReader {
  const { query, sqlite } = registry
  // Asked for on almost every request, so prepared once.
  const oneDevice = sqlite.prepare<[string], DeviceRow>('SELECT * FROM devices WHERE id = ?')
  const groupsOf = sqlite
    .prepare<[string], string>('SELECT name FROM device_groups WHERE device_id = ? ORDER BY name')
    .pluck()
  // As a join its plan holds whatever ANALYZE found: each ID is looked up.
  const someDevices = sqlite.prepare<[string], DeviceRow>(
    'SELECT devices.* FROM json_each(?) AS asked CROSS JOIN devices ON devices.id = asked.value',
  )
  const groupsOfSome = sqlite.prepare<[string], { deviceId: string; name: string }>(
    `SELECT device_id AS deviceId, name FROM json_each(?) AS asked CROSS JOIN device_groups ON device_id = asked.value
     ORDER BY name`,
  )
  const oneCertificate = sqlite.prepare<[string], Schema['certificates']>(
    'SELECT * FROM certificates WHERE fingerprint = ?',
  )
  const bySerial = sqlite
    .prepare<[string, string], string>(
      'SELECT fingerprint FROM certificates WHERE issuer_id = ? AND serial_number = ?',
    )
    .pluck()
  const member = sqlite.prepare<[string, string]>(
    'SELECT 1 FROM device_groups WHERE device_id = ? AND name = ?',
  )
  const listed = prepareDeviceList(registry)
  const deviceCounts = sqlite.prepare<[], { state: string; count: number }>(
    "SELECT state, count FROM roll_counts WHERE kind = 'device'",
  )
  const membersOf = (group: string) =>
    query.selectFrom('device_groups').select('device_id').where('name', '=', group)

  /** Those that there are, in the order of the IDs. */
  function rowsOf(ids: readonly string[]): { row: DeviceRow; groups: string[] }[] {
    const asked = JSON.stringify(ids)
    const found = new Map(someDevices.all(asked).map(row => [row.id, { row, groups: [] as string[] }]))
    for (const { deviceId, name } of groupsOfSome.all(asked)) found.get(deviceId)?.groups.push(name)
    return ids.flatMap(id => found.get(id) ?? [])
  }

  return {
    async device(id) {
      const row = oneDevice.get(id)
      return row === undefined ? null : toDevice(row, groupsOf.all(id))
    },

    async devices(filter, after, limit, now, sort = byId) {
      const { ids, next } = listed(filter, after, limit, now, sort)
      const items: Device[] = []
      let characters = 0
      for (let at = 0; at < ids.length; at += READ_AT_ONCE) {
        for (const { row, groups } of rowsOf(ids.slice(at, at + READ_AT_ONCE))) {
          if (characters > PAGE_CHARACTERS_MAX) return { items, next: listed.keyOf(items.at(-1)!.id, sort) }
          items.push(toDevice(row, groups))
          characters += row.attributes.length + GROUP_CHARACTERS * groups.length
        }
      }
      return { items, next }
    },

    countDevices(filter, now) {
      const { scope, state, ...others } = filter
      if (scope != null || Object.values(others).some(value => value !== undefined))
        return listed.count(filter, now)
      const states = deviceCounts.all()
      const fitting = states.filter(one => state === undefined || one.state === state)
      return { count: fitting.reduce((sum, { count }) => sum + count, 0), exact: true }
    },

    isMember: (deviceId, group) => member.get(deviceId, group) !== undefined,

    fingerprintOfSerial: (issuerId, serialNumber) => bySerial.get(issuerId, serialNumber) ?? null,

    async certificate(fingerprint) {
      const row = oneCertificate.get(fingerprint)
      return row === undefined ? null : toCertificate(row)
    },

    async certificates(filter, after, limit) {
      let select = query
        .selectFrom('certificates')
        .selectAll()
        .orderBy('fingerprint')
        .limit(limit + 1)
      if (after !== null) select = select.where('fingerprint', '>', after)
      if (filter.deviceId !== undefined) select = select.where('device_id', '=', filter.deviceId)
      if (filter.scope != null) select = select.where('device_id', 'in', membersOf(filter.scope))
      if (filter.status !== undefined) select = select.where('status', '=', filter.status)
      const { items, next } = pageOf(await select.execute(), limit, row => row.fingerprint)
      return { items: items.map(toCertificate), next }
    },

    async refusals(of, limit) {
      const select = query
        .selectFrom('refusals')
        .select(['at', 'reason', 'address', 'fingerprint', 'count'])
        .orderBy('at', 'desc')
        .limit(limit)
      return 'fingerprint' in of
        ? select.where('fingerprint', '=', of.fingerprint).execute()
        : select.where('device_id', '=', of.deviceId).execute()
    },
  }
}

function toDevice(row: DeviceRow, groups: string[]): Device {
  return {
    id: row.id,
    state: row.state,
    attributes: JSON.parse(row.attributes),
    groups,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    certificate:
      row.certificate_status === ''
        ? null
        : { status: row.certificate_status, notAfter: row.certificate_not_after },
  }
}

function toCertificate(row: Schema['certificates']): Certificate {
  return {
    fingerprint: row.fingerprint,
    deviceId: row.device_id,
    status: row.status,
    revocationReason: row.revocation_reason,
    trust: row.trust,
    issuerId: row.issuer_id,
    serialNumber: row.serial_number,
    subject: row.subject,
    keyType: row.key_type,
    spkiHash: row.spki_hash,
    notBefore: row.not_before,
    notAfter: row.not_after,
    graceUntil: row.grace_until,
    issuedAt: row.issued_at,
    firstUsedAt: row.first_used_at,
    revokedAt: row.revoked_at,
    der: row.der,
  }
}
