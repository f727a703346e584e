// What a list of devices can be asked for: filters as conditions about one device, and the sets of devices that indexes give.
import type { CertificateStatus, DeviceState } from '../schema.ts'
import { CONNECTED } from './last-seen.ts'
import { NODE_GONE_MS } from './live-sessions.ts'

/** All must hold. Times in ms since the epoch; those before a time do not hold it. */
export type DeviceFilter = {
  state?: DeviceState | undefined
  group?: string | undefined
  prefix?: string | undefined
  attribute?: Attribute | undefined
  connected?: boolean | undefined
  /** It is connected, or its session outlived the connection; of the second alone. */
  hasSession?: true | undefined
  keptSession?: true | undefined
  /** Terms between blanks: the start of an ID or fingerprint, a serial number in hex, or `name:value` of an attribute. */
  search?: string | undefined
  /** Of the end of its last connection; a device that is connected is seen now, one that never was at no time. */
  lastSeenBefore?: number | undefined
  lastSeenAfter?: number | undefined
  /** Of the begin of its last connection. */
  connectedBefore?: number | undefined
  connectedAfter?: number | undefined
  neverConnected?: boolean | undefined
  /** Of the certificate that counts, see `device_certificate_added`. */
  certificateStatus?: CertificateStatus | undefined
  expiresBefore?: number | undefined
  expiresAfter?: number | undefined
  /** The group that the caller is bound to, besides the filter. */
  scope?: string | null
}
export type Attribute = { name: string; value: string }

export type Values = (string | number)[]
/** `of` names what is asked: the index that is walked has answered its own. */
export type Condition = { of?: string; sql: string; values: Values; range?: Bounds }
/** Of a column: at least, and below. */
type Bounds = { least: number; below: number }
/**
 * The devices that an index gives. Of `key`, the device's ID in it, they are in order unless `isRange`. Among several the one of least
 * `size` is taken; `start` is where it begins.
 */
export type DeviceSet = {
  from: string
  key: string
  where: Condition
  size: number
  start?: string
  isRange?: true
}

const HIGHEST = '\u{10ffff}'

/** What a device must be, each as a question about `w.id`: first what one look into an index answers, and mostly with no. */
export function conditionsOf(filter: DeviceFilter, now: number): Condition[] {
  const conditions: Condition[] = []
  const { state, group, scope, prefix, attribute, connected, certificateStatus } = filter
  if (prefix !== undefined) conditions.push(prefixCondition(prefix))
  for (const name of [group, scope]) {
    if (name == null) continue
    const sql = 'EXISTS (SELECT 1 FROM device_groups WHERE device_id = w.id AND name = ?)'
    conditions.push({ sql, values: [name], of: `group ${name}` })
  }
  if (attribute !== undefined) conditions.push(attributeCondition(attribute))
  if (connected !== undefined) {
    const living = onLivingNode(now)
    const sql = `${connected ? '' : 'NOT '}EXISTS (SELECT 1 FROM live_sessions WHERE device_id = w.id AND ${living.sql})`
    conditions.push({ sql, values: living.values, ...(connected && { of: 'connected' }) })
  }
  const { hasSession, keptSession } = filter
  if (keptSession === true) conditions.push(keptSessionCondition)
  if (hasSession === true) {
    const sql = `(EXISTS (SELECT 1 FROM live_sessions WHERE device_id = w.id AND ${onLivingNode(now).sql}) OR ${keptSessionCondition.sql})`
    conditions.push({ sql, values: onLivingNode(now).values, of: 'session' })
  }
  if (state !== undefined) conditions.push(statusCondition('state', state))
  if (certificateStatus !== undefined)
    conditions.push(statusCondition('certificate status', certificateStatus))
  for (const { of, from, key, sql, values, range } of ranges(filter)) {
    const fits = `EXISTS (SELECT 1 FROM ${from} AS r WHERE r.${key} = w.id AND ${sql})`
    conditions.push({ of, range, sql: fits, values })
  }
  return conditions
}

/** By an index of the status and the ID: the row itself is not looked up. */
function statusCondition(of: 'state' | 'certificate status', status: string): Condition {
  const [column, index] =
    of === 'state' ? ['state', 'devices_by_state'] : ['certificate_status', 'devices_by_certificate_status']
  const sql = `EXISTS (SELECT 1 FROM devices INDEXED BY ${index} WHERE ${column} = ? AND id = w.id)`
  return { sql, values: [status], of }
}

/** The sets that hold all that fits, each. The last is that of all devices. */
function setsOf(filter: DeviceFilter, now: number): DeviceSet[] {
  const sets: DeviceSet[] = ranges(filter).map(({ of, from, key, sql, values }) => ({
    ...{ from, key, where: { of, sql, values }, size: 4, isRange: true },
  }))
  const { state, group, scope, prefix, attribute, connected, certificateStatus } = filter
  if (attribute !== undefined) sets.push(attributeSet(attribute))
  if (prefix !== undefined) sets.push(prefixSet(prefix))
  for (const name of [group, scope]) {
    if (name == null) continue
    const where = { sql: 'name = ?', values: [name], of: `group ${name}` }
    sets.push({ from: 'device_groups', key: 'device_id', size: 3, where })
  }
  if (connected === true) sets.push(connectedSet(now))
  if (filter.keptSession === true) sets.push(keptSessionSet)
  if (state !== undefined) {
    const few = state === 'suspended' || state === 'decommissioned'
    const where = { sql: 'state = ?', values: [state], of: 'state' }
    sets.push({ from: 'devices', key: 'id', size: few ? 2 : 6, where })
  }
  if (certificateStatus !== undefined) {
    const where = { sql: 'certificate_status = ?', values: [certificateStatus], of: 'certificate status' }
    sets.push({ from: 'devices', key: 'id', size: 6, where })
  }
  sets.push({
    from: 'devices',
    key: 'id',
    where: { sql: 'true', values: [] },
    size: Number.POSITIVE_INFINITY,
  })
  return sets
}

/** The unions of sets that hold all that fits, each. */
export function unionsOf(filter: DeviceFilter, now: number): Union[] {
  const sets = setsOf(filter, now).map(set => ({ sets: [set], of: set.where.of }))
  if (filter.hasSession !== true) return sets
  return [{ sets: [connectedSet(now), keptSessionSet], of: 'session' }, ...sets]
}

type Range = Required<Condition> & { from: string; key: string }

/** Conditions on a column by which devices are sorted, too. `of` names that column. */
function ranges(filter: DeviceFilter): Range[] {
  const seen = { from: 'last_seen', key: 'device_id' }
  const device = { from: 'devices', key: 'id' }
  const asked: Range[] = []
  const add = (table: { from: string; key: string }, column: string, least: number, below: number) =>
    asked.push({
      ...{ ...table, of: column, range: { least, below } },
      ...{ sql: `${column} >= ? AND ${column} < ?`, values: [least, below] },
    })
  const { lastSeenBefore, lastSeenAfter, connectedBefore, connectedAfter, neverConnected } = filter
  const { expiresBefore, expiresAfter } = filter
  if (neverConnected === true) add(seen, 'seen_at', 0, 1)
  else if (lastSeenBefore !== undefined || lastSeenAfter !== undefined || neverConnected === false)
    add(seen, 'seen_at', Math.max(1, lastSeenAfter ?? 1), lastSeenBefore ?? CONNECTED + 1)
  if (connectedBefore !== undefined || connectedAfter !== undefined)
    add(seen, 'connected_at', Math.max(1, connectedAfter ?? 1), connectedBefore ?? CONNECTED + 1)
  if (expiresBefore !== undefined || expiresAfter !== undefined)
    add(device, 'certificate_not_after', Math.max(1, expiresAfter ?? 1), expiresBefore ?? CONNECTED + 1)
  return asked
}

function attributeCondition({ name, value }: Attribute): Condition {
  const sql = 'EXISTS (SELECT 1 FROM device_attributes WHERE name = ? AND value = ? AND device_id = w.id)'
  return { sql, values: [name, value], of: `attribute ${name}:${value}` }
}

function prefixCondition(prefix: string): Condition {
  return { sql: 'w.id >= ? AND w.id < ?', values: [prefix, prefix + HIGHEST], of: `prefix ${prefix}` }
}

function attributeSet({ name, value }: Attribute): DeviceSet {
  const where = { sql: 'name = ? AND value = ?', values: [name, value], of: `attribute ${name}:${value}` }
  return { from: 'device_attributes', key: 'device_id', where, size: 1 }
}

function prefixSet(prefix: string): DeviceSet {
  const where = { sql: 'id < ?', values: [prefix + HIGHEST], of: `prefix ${prefix}` }
  return { from: 'devices', key: 'id', where, size: 5, start: prefix }
}

/** By an index of those alone. */
const keptSessionSet: DeviceSet = {
  ...{ from: 'last_seen', key: 'device_id', size: 4 },
  where: { sql: 'session_kept = 1', values: [], of: 'kept session' },
}
const keptSessionCondition: Condition = {
  sql: 'EXISTS (SELECT 1 FROM last_seen WHERE device_id = w.id AND session_kept = 1)',
  ...{ values: [], of: 'kept session' },
}

function connectedSet(now: number): DeviceSet {
  return { from: 'live_sessions', key: 'device_id', size: 4, where: onLivingNode(now) }
}

function onLivingNode(now: number): Condition {
  const sql = 'node_id IN (SELECT id FROM nodes WHERE seen_at > ?)'
  return { sql, values: [now - NODE_GONE_MS], of: 'connected' }
}

/** Sets that together hold all that fits, and the condition that they answer. */
export type Union = { sets: readonly DeviceSet[]; of: string | undefined }
/** What one term of a search may mean. */
export type SearchTerm = Union & { condition: Condition }

/** @param byCertificate devices by the start of a fingerprint, or a serial number */
export function searchTerm(term: string, byCertificate: (hex: string) => string[]): SearchTerm {
  const sets: DeviceSet[] = []
  const meanings: Condition[] = []
  if (/^[A-Za-z0-9._-]{1,128}$/.test(term)) {
    sets.push(prefixSet(term))
    meanings.push(prefixCondition(term))
  }
  const attribute = attributeOf(term)
  if (attribute !== null) {
    sets.push(attributeSet(attribute))
    meanings.push(attributeCondition(attribute))
  }
  const ids = byCertificate(term.replaceAll(':', '').toLowerCase())
  if (ids.length > 0) {
    const values = [JSON.stringify(ids)]
    const where = { sql: 'id IN (SELECT value FROM json_each(?))', values }
    sets.push({ from: 'devices', key: 'id', where, size: 0 })
    meanings.push({ sql: 'w.id IN (SELECT value FROM json_each(?))', values })
  }
  const sql = meanings.length === 0 ? 'false' : `(${meanings.map(one => `(${one.sql})`).join(' OR ')})`
  const of = `term ${term}`
  return { sets, of, condition: { sql, values: meanings.flatMap(({ values }) => values), of } }
}

/** The terms between blanks; a blank within double quotes is part of its term. */
export function termsOf(search: string): string[] {
  return [...search.matchAll(/(?:[^\s"]|"[^"]*"?)+/g)].map(([term]) => term.replaceAll('"', ''))
}

/** `name:value`; null where the text is none. */
export function attributeOf(text: string): Attribute | null {
  const colon = text.indexOf(':')
  return colon < 1 ? null : { name: text.slice(0, colon), value: text.slice(colon + 1) }
}
