// Lists of devices at any size of the roll: an index is walked in the order of IDs and looks at a bounded number of rows.
// A search that finds few among many gives a page that ends early, with the key to go on from.
import type { Registry } from '../open.ts'
import type { DeviceState } from '../schema.ts'
import { prepared } from '../statement.ts'
import { NODE_GONE_MS } from './live-sessions.ts'

export type DeviceFilter = {
  state?: DeviceState | undefined
  group?: string | undefined
  prefix?: string | undefined
  attribute?: Attribute | undefined
  connected?: boolean | undefined
  /** The start of an ID or fingerprint, a serial number in hex, or `name:value` of an attribute. */
  search?: string | undefined
  /** The group that the caller is bound to, besides the filter. */
  scope?: string | null
}
type Attribute = { name: string; value: string }

/** Device IDs in order. `next`, where it is not null, is to be continued after, also where there are fewer than asked for. */
type DeviceIds = { ids: string[]; next: string | null }

type Values = (string | number)[]
/** `of` names what is asked: the index that is walked has answered its own. */
type Condition = { of?: string; sql: string; values: Values }
/** An index to walk, where it begins with `start`; `key` is the device's ID in it. Among several the one of least `size` is taken. */
type Walk = { from: string; key: string; where: Condition; size: number; start?: string }
/** What a walk found; it saw all up to `seenTo`, or all there is. */
type Found = { ids: string[]; seenTo: string | null }

/** A row costs some microseconds: so many keep the service for less than 50 ms. */
const ROWS_SEEN_MAX = 5_000
const FOUND_BY_CERTIFICATE_MAX = 200
const FINGERPRINT_START_MIN = 8
const HIGHEST = '\u{10ffff}'

export function prepareDeviceList({ sqlite }: Pick<Registry, 'sqlite'>, rowsSeenMax = ROWS_SEEN_MAX) {
  return (filter: DeviceFilter, after: string | null, limit: number, now: number): DeviceIds => {
    const conditions = conditionsOf(filter, now)
    const walks = conditionWalks(filter, now)
    const begins = filter.search === undefined ? [null] : searchWalks(filter.search)
    const found = begins.map(begin => walk(begin === null ? walks : [begin], conditions, after ?? '', limit))
    return merged(found, limit)
  }

  function walk(
    walks: readonly Walk[],
    conditions: readonly Condition[],
    after: string,
    limit: number,
  ): Found {
    const least = walks.toSorted((a, b) => a.size - b.size)[0]!
    const { from, key, where, start = '' } = least
    const [beyond, begin] = after < start ? ['>=', start] : ['>', after]
    const walked = `SELECT DISTINCT ${key} AS id FROM ${from} WHERE ${where.sql} AND ${key} ${beyond} ? ORDER BY ${key}`
    const open = conditions.filter(({ of }) => of === undefined || of !== where.of)
    const asked = open.map(({ sql }) => ` AND ${sql}`).join('')
    const rows = prepared(
      sqlite,
      `SELECT w.id FROM (${walked} LIMIT ${rowsSeenMax}) AS w WHERE true${asked} LIMIT ?`,
    )
      .pluck()
      .all(...where.values, begin, ...open.flatMap(({ values }) => values), limit + 1) as string[]
    if (rows.length > limit) return { ids: rows, seenTo: rows[limit]! }
    const end = prepared(sqlite, `${walked} LIMIT 1 OFFSET ${rowsSeenMax - 1}`).pluck()
    return { ids: rows, seenTo: (end.get(...where.values, begin) as string | undefined) ?? null }
  }

  /** What is searched for, found by each index that may hold it. */
  function searchWalks(search: string): Walk[] {
    const walks: Walk[] = []
    if (/^[A-Za-z0-9._-]{1,128}$/.test(search)) walks.push(prefixWalk(search))
    const attribute = attributeOf(search)
    if (attribute !== null) walks.push(attributeWalk(attribute))
    const ids = byCertificate(search.replaceAll(':', '').toLowerCase())
    if (ids.length > 0) {
      const where = { sql: 'id IN (SELECT value FROM json_each(?))', values: [JSON.stringify(ids)] }
      walks.push({ from: 'devices', key: 'id', where, size: 0 })
    }
    return walks
  }

  function byCertificate(hex: string): string[] {
    if (!/^[0-9a-f]{2,64}$/.test(hex)) return []
    const texts: [string, Values][] = [
      [
        `SELECT device_id FROM certificates WHERE issuer_id IN (SELECT id FROM issuers) AND serial_number = ?`,
        [hex],
      ],
      ['SELECT device_id FROM certificates WHERE issuer_id IS NULL AND serial_number = ?', [hex]],
    ]
    if (hex.length >= FINGERPRINT_START_MIN) {
      texts.push([
        'SELECT device_id FROM certificates WHERE fingerprint >= ? AND fingerprint < ?',
        [hex, `${hex}g`],
      ])
    }
    const found = texts.flatMap(
      ([text, values]) =>
        prepared(sqlite, `${text} LIMIT ${FOUND_BY_CERTIFICATE_MAX}`)
          .pluck()
          .all(...values) as string[],
    )
    return [...new Set(found)]
  }

  function conditionWalks(filter: DeviceFilter, now: number): Walk[] {
    const walks: Walk[] = [
      { from: 'devices', key: 'id', where: { sql: 'true', values: [] }, size: Number.POSITIVE_INFINITY },
    ]
    const { state, group, scope, prefix, attribute, connected } = filter
    if (attribute !== undefined) walks.push(attributeWalk(attribute))
    if (prefix !== undefined) walks.push(prefixWalk(prefix))
    for (const name of [group, scope]) {
      if (name == null) continue
      walks.push({
        ...{ from: 'device_groups', key: 'device_id', size: 3 },
        where: { sql: 'name = ?', values: [name], of: `group ${name}` },
      })
    }
    if (connected === true) {
      walks.push({ ...{ from: 'live_sessions', key: 'device_id', size: 4 }, where: onLivingNode(now) })
    }
    if (state !== undefined) {
      const few = state === 'suspended' || state === 'decommissioned'
      walks.push({
        ...{ from: 'devices', key: 'id', size: few ? 2 : 6 },
        where: { sql: 'state = ?', values: [state], of: 'state' },
      })
    }
    return walks
  }
}

function attributeWalk({ name, value }: Attribute): Walk {
  const where = { sql: 'name = ? AND value = ?', values: [name, value] }
  return { from: 'device_attributes', key: 'device_id', where, size: 1 }
}

function prefixWalk(prefix: string): Walk {
  const where = { sql: 'id < ?', values: [prefix + HIGHEST] }
  return { from: 'devices', key: 'id', where, size: 5, start: prefix }
}

/** What a device must be, each as a question about `w.id`. */
function conditionsOf(filter: DeviceFilter, now: number): Condition[] {
  const conditions: Condition[] = []
  const { state, group, scope, prefix, attribute, connected } = filter
  if (state !== undefined)
    conditions.push({ sql: '(SELECT state FROM devices WHERE id = w.id) = ?', values: [state], of: 'state' })
  if (prefix !== undefined)
    conditions.push({ sql: 'w.id >= ? AND w.id < ?', values: [prefix, prefix + HIGHEST] })
  for (const name of [group, scope]) {
    if (name == null) continue
    const sql = 'EXISTS (SELECT 1 FROM device_groups WHERE device_id = w.id AND name = ?)'
    conditions.push({ sql, values: [name], of: `group ${name}` })
  }
  if (attribute !== undefined) {
    const sql = 'EXISTS (SELECT 1 FROM device_attributes WHERE name = ? AND value = ? AND device_id = w.id)'
    conditions.push({ sql, values: [attribute.name, attribute.value] })
  }
  if (connected !== undefined) {
    const living = onLivingNode(now)
    const sql = `${connected ? '' : 'NOT '}EXISTS (SELECT 1 FROM live_sessions WHERE device_id = w.id AND ${living.sql})`
    conditions.push({ sql, values: living.values })
  }
  return conditions
}

function onLivingNode(now: number): Condition {
  return { sql: 'node_id IN (SELECT id FROM nodes WHERE seen_at > ?)', values: [now - NODE_GONE_MS] }
}

/** `name:value`; null where the text is none. */
export function attributeOf(text: string): Attribute | null {
  const colon = text.indexOf(':')
  return colon < 1 ? null : { name: text.slice(0, colon), value: text.slice(colon + 1) }
}

/** What lies beyond the nearest end of a walk is left for the next page. */
function merged(found: readonly Found[], limit: number): DeviceIds {
  const ends = found.flatMap(({ seenTo }) => (seenTo === null ? [] : [seenTo]))
  const end = ends.length === 0 ? null : ends.reduce((a, b) => (a < b ? a : b))
  const all = [...new Set(found.flatMap(({ ids }) => ids))].sort(byBytes)
  const ids = end === null ? all : all.filter(id => id <= end)
  if (ids.length > limit) return { ids: ids.slice(0, limit), next: ids[limit - 1]! }
  return { ids, next: end }
}

/** As SQLite compares them; device IDs are ASCII. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
