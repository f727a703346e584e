// Lists of devices at any size of the roll: an index is walked in its order and looks at a bounded number of rows.
// A search that finds few among many gives a page that ends early, with the key to go on from.
import type { Registry } from '../open.ts'
import { prepared } from '../statement.ts'
import {
  type Condition,
  conditionsOf,
  type DeviceFilter,
  type DeviceSet,
  searchTerm,
  termsOf,
  type Union,
  unionsOf,
  type Values,
} from './device-filter.ts'

/** What a list is sorted by, in ascending order; devices that are equal in it are in the order of their IDs. */
const sorts = {
  id: { from: 'devices', key: 'id', column: 'id' },
  state: { from: 'devices', key: 'id', column: 'state' },
  createdAt: { from: 'devices', key: 'id', column: 'created_at' },
  updatedAt: { from: 'devices', key: 'id', column: 'updated_at' },
  certificateStatus: { from: 'devices', key: 'id', column: 'certificate_status' },
  certificateExpiry: { from: 'devices', key: 'id', column: 'certificate_not_after' },
  lastSeen: { from: 'last_seen', key: 'device_id', column: 'seen_at' },
  connectedAt: { from: 'last_seen', key: 'device_id', column: 'connected_at' },
  messagesWaiting: { from: 'last_seen', key: 'device_id', column: 'messages_waiting' },
} as const
export type DeviceSort = { by: keyof typeof sorts; descending: boolean }
export const deviceSorts = Object.keys(sorts) as DeviceSort['by'][]
export const byId: DeviceSort = { by: 'id', descending: false }

/** Where a page ended: the value it is sorted by, and the ID. */
export type DeviceKey = { value: string | number; id: string }
/** `next`, where it is not null, is to be continued after, also where there are fewer than asked for. */
type DeviceIds = { ids: string[]; next: DeviceKey | null }
type Found = { keys: DeviceKey[]; seenTo: DeviceKey | null }

/** A row costs some microseconds: so many keep the service for less than 50 ms. */
const ROWS_SEEN_MAX = 5_000
/** Counted without a look at any device. */
const ROWS_COUNTED_MAX = 300_000
const FOUND_BY_CERTIFICATE_MAX = 200
const FINGERPRINT_START_MIN = 8

export function prepareDeviceList({ sqlite }: Pick<Registry, 'sqlite'>, rowsSeenMax = ROWS_SEEN_MAX) {
  function list(
    filter: DeviceFilter,
    after: DeviceKey | null,
    limit: number,
    now: number,
    sort: DeviceSort = byId,
  ): DeviceIds {
    const { unions, conditions } = asked(filter, now)
    if (unions.some(({ sets }) => sets.length === 0)) return { ids: [], next: null }
    const small = unions.find(isSmall)
    if (small !== undefined) return pageOf(within(small, conditions, after, limit, sort), limit)
    if (sort.by !== 'id' || sort.descending) return pageOf(sorted(conditions, after, limit, sort), limit)
    const union = unions.find(({ sets }) => sets.every(({ isRange }) => isRange === undefined))!
    const open = notAnswered(conditions, union.of)
    return merged(
      union.sets.map(set => walked(set, open, after, limit)),
      limit,
    )
  }

  /** The unions that hold all that fits, those of search terms first and each from the smallest on; and all conditions. */
  function asked(filter: DeviceFilter, now: number): { unions: Union[]; conditions: Condition[] } {
    const terms = termsOf(filter.search ?? '').map(term => searchTerm(term, byCertificate))
    const largest = ({ sets }: Union) => Math.max(...sets.map(({ size }) => size))
    const sets = unionsOf(filter, now)
    const conditions = [...terms.map(({ condition }) => condition), ...conditionsOf(filter, now)]
    return { unions: [...bySize(terms), ...bySize(sets)], conditions }

    function bySize(some: readonly Union[]): Union[] {
      return some.toSorted((a, b) => largest(a) - largest(b))
    }
  }

  /** So that it can be sorted as a whole. */
  function isSmall({ sets }: Union): boolean {
    if (sets.some(({ size }) => size === Number.POSITIVE_INFINITY)) return false
    return sets.every(set => {
      const { sql, values } = unsorted(set)
      const beyond = prepared(
        sqlite,
        `${sql} LIMIT 1 OFFSET ${Math.floor(rowsSeenMax / sets.length)}`,
      ).pluck()
      return beyond.get(...values) === undefined
    })
  }

  function within(
    union: Union,
    conditions: readonly Condition[],
    after: DeviceKey | null,
    limit: number,
    sort: DeviceSort,
  ): Found {
    const { from, key, column } = sorts[sort.by]
    const sets = union.sets.map(unsorted)
    const open = notAnswered(conditions, union.of)
    const [beyond, order, values] = boundary(sort, after)
    const rows = prepared(
      sqlite,
      `SELECT k.value, k.id FROM (SELECT s.${column} AS value, w.id AS id
         FROM (${sets.map(({ sql }) => sql).join(' UNION ')}) AS w JOIN ${from} AS s ON s.${key} = w.id
         WHERE true${open.map(({ sql }) => ` AND ${sql}`).join('')}) AS k
       WHERE ${beyond} ORDER BY ${order} LIMIT ?`,
    ).all(
      ...sets.flatMap(set => set.values),
      ...open.flatMap(condition => condition.values),
      ...values,
      limit + 1,
    )
    return { keys: rows as DeviceKey[], seenTo: null }
  }

  /** Walks the index that the list is sorted by. */
  function sorted(
    conditions: readonly Condition[],
    after: DeviceKey | null,
    limit: number,
    sort: DeviceSort,
  ): Found {
    const { from, key, column } = sorts[sort.by]
    // A range of the column itself is where the walk begins and ends; where it goes on, it has begun.
    const own = conditions.filter(({ of, range }) => of === column && range !== undefined)
    const bounds = own.flatMap(({ range }): [string, number][] => [
      ...(after === null || sort.descending ? [[' AND k.value >= ?', range!.least] as [string, number]] : []),
      ...(after === null || !sort.descending ? [[' AND k.value < ?', range!.below] as [string, number]] : []),
    ])
    const [beyond, order, values] = boundary(sort, after)
    const walk = `SELECT k.value, k.id FROM (SELECT ${column} AS value, ${key} AS id FROM ${from}) AS k
      WHERE ${beyond}${bounds.map(([sql]) => sql).join('')} ORDER BY ${order}`
    const walkValues = [...values, ...bounds.map(([, value]) => value)]
    const open = conditions.filter(condition => !own.includes(condition))
    const rows = prepared(
      sqlite,
      `SELECT w.value, w.id FROM (${walk} LIMIT ${rowsSeenMax}) AS w
       WHERE true${open.map(({ sql }) => ` AND ${sql}`).join('')} LIMIT ?`,
    ).all(...walkValues, ...open.flatMap(condition => condition.values), limit + 1) as DeviceKey[]
    if (rows.length > limit) return { keys: rows, seenTo: null }
    const end = prepared(sqlite, `${walk} LIMIT 1 OFFSET ${rowsSeenMax - 1}`)
    return { keys: rows, seenTo: (end.get(...walkValues) as DeviceKey | undefined) ?? null }
  }

  /** Walks an index in the order of IDs. */
  function walked(
    set: DeviceSet,
    conditions: readonly Condition[],
    after: DeviceKey | null,
    limit: number,
  ): Found {
    const { from, key, where, start = '' } = set
    const last = after?.id ?? ''
    const [beyond, begin] = last < start ? ['>=', start] : ['>', last]
    const walk = `SELECT DISTINCT ${key} AS id FROM ${from} WHERE ${where.sql} AND ${key} ${beyond} ? ORDER BY ${key}`
    const open = conditions
    const rows = prepared(
      sqlite,
      `SELECT w.id AS value, w.id FROM (${walk} LIMIT ${rowsSeenMax}) AS w
       WHERE true${open.map(({ sql }) => ` AND ${sql}`).join('')} LIMIT ?`,
    ).all(...where.values, begin, ...open.flatMap(({ values }) => values), limit + 1) as DeviceKey[]
    if (rows.length > limit) return { keys: rows, seenTo: rows[limit]! }
    const end = prepared(sqlite, `SELECT id AS value, id FROM (${walk} LIMIT 1 OFFSET ${rowsSeenMax - 1})`)
    return { keys: rows, seenTo: (end.get(...where.values, begin) as DeviceKey | undefined) ?? null }
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
    if (hex.length >= FINGERPRINT_START_MIN)
      texts.push([
        'SELECT device_id FROM certificates WHERE fingerprint >= ? AND fingerprint < ?',
        [hex, `${hex}g`],
      ])
    const found = texts.flatMap(
      ([text, values]) =>
        prepared(sqlite, `${text} LIMIT ${FOUND_BY_CERTIFICATE_MAX}`)
          .pluck()
          .all(...values) as string[],
    )
    return [...new Set(found)]
  }

  /** How many fit. Not `exact` where there may be more: what was counted is the least there are. */
  function count(filter: DeviceFilter, now: number): { count: number; exact: boolean } {
    const { unions, conditions } = asked(filter, now)
    if (unions.some(({ sets }) => sets.length === 0)) return { count: 0, exact: true }
    const union = unions.find(isSmall) ?? unions[0]!
    const open = notAnswered(conditions, union.of)
    const most = open.length === 0 ? ROWS_COUNTED_MAX : rowsSeenMax * 2
    const counted = union.sets.map(unsorted)
    const source = counted.map(({ sql }) => `SELECT id FROM (${sql} LIMIT ${most + 1})`).join(' UNION ')
    const row = prepared(
      sqlite,
      `SELECT count(*) AS seen, coalesce(sum(true${open.map(({ sql }) => ` AND ${sql}`).join('')}), 0) AS fitting
       FROM (${source}) AS w`,
    ).get(...open.flatMap(({ values }) => values), ...counted.flatMap(({ values }) => values)) as {
      seen: number
      fitting: number
    }
    return { count: Math.min(row.fitting, most), exact: row.seen <= most }
  }

  /** Where a page ends that ends with this device. */
  function keyOf(id: string, sort: DeviceSort): DeviceKey {
    const { from, key, column } = sorts[sort.by]
    const value = prepared(sqlite, `SELECT ${column} FROM ${from} WHERE ${key} = ?`).pluck().get(id)
    return { value: value as DeviceKey['value'], id }
  }

  return Object.assign(list, { count, keyOf })
}

function unsorted({ from, key, where, start }: DeviceSet): { sql: string; values: Values } {
  const begin = start === undefined ? '' : ` AND ${key} >= ?`
  const values = start === undefined ? where.values : [...where.values, start]
  return { sql: `SELECT DISTINCT ${key} AS id FROM ${from} WHERE ${where.sql}${begin}`, values }
}

function notAnswered(conditions: readonly Condition[], of: string | undefined): Condition[] {
  return conditions.filter(condition => condition.of === undefined || condition.of !== of)
}

function boundary({ descending }: DeviceSort, after: DeviceKey | null): [string, string, Values] {
  const order = descending ? 'k.value DESC, k.id DESC' : 'k.value, k.id'
  if (after === null) return ['true', order, []]
  return [`(k.value, k.id) ${descending ? '<' : '>'} (?, ?)`, order, [after.value, after.id]]
}

function pageOf({ keys, seenTo }: Found, limit: number): DeviceIds {
  const ids = keys.slice(0, limit).map(({ id }) => id)
  return { ids, next: keys.length > limit ? keys[limit - 1]! : seenTo }
}

/** Of walks in the order of IDs: what lies beyond the nearest end of one is left for the next page. */
function merged(found: readonly Found[], limit: number): DeviceIds {
  const ends = found.flatMap(({ seenTo }) => (seenTo === null ? [] : [seenTo.id]))
  const end = ends.length === 0 ? null : ends.reduce((a, b) => (a < b ? a : b))
  const [only] = found
  const all =
    found.length === 1
      ? only!.keys.map(({ id }) => id)
      : [...new Set(found.flatMap(({ keys }) => keys.map(({ id }) => id)))].sort(byBytes)
  const ids = end === null ? all : all.filter(id => id <= end)
  const key = (id: string): DeviceKey => ({ value: id, id })
  if (ids.length > limit) return { ids: ids.slice(0, limit), next: key(ids[limit - 1]!) }
  return { ids, next: end === null ? null : key(end) }
}

/** As SQLite compares them; device IDs are ASCII. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
