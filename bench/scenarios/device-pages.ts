// What a page of devices costs at any order, filter, pair of filters and depth that the API offers, and the total beside it.
// Run by hand: node bench/scenarios/device-pages.ts [devices] [one pair of filters of so many] [registry to fill once and keep]
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeRegistry, type Registry } from '../../db/index.ts'
import { openForReading } from '../../db/open.ts'
import type { DeviceFilter } from '../../db/roll/device-filter.ts'
import { type DeviceKey, type DeviceSort, deviceSorts } from '../../db/roll/device-list.ts'
import { prepareLastSeen } from '../../db/roll/last-seen.ts'
import { prepareLiveSessions } from '../../db/roll/live-sessions.ts'
import { createRollReader } from '../../db/roll/roll-reader.ts'
import { toDeviceResponse } from '../../provisioning/http/roll-responses.ts'
import { fillVariedRoll } from '../varied-roll.ts'

const [devices = '1000000', pairs = '1', kept] = process.argv.slice(2)
const count = Number(devices)
const DAY_MS = 86_400_000
const LIMIT_MS = 50
const PAGE = 100
const SHOWN = 25
const ROUNDS_OF_ONE = 5
const depths = { first: 0, middle: 0.5, end: 0.999 }

const columns: Record<DeviceSort['by'], [string, string, string]> = {
  id: ['devices', 'id', 'id'],
  state: ['devices', 'id', 'state'],
  createdAt: ['devices', 'id', 'created_at'],
  updatedAt: ['devices', 'id', 'updated_at'],
  certificateStatus: ['devices', 'id', 'certificate_status'],
  certificateExpiry: ['devices', 'id', 'certificate_not_after'],
  lastSeen: ['last_seen', 'device_id', 'seen_at'],
  connectedAt: ['last_seen', 'device_id', 'connected_at'],
  messagesWaiting: ['last_seen', 'device_id', 'messages_waiting'],
}

type Took = { name: string; wall: number; cpu: number; found: string }

const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-'))
const file = kept ?? join(scratch, 'registry.db')
try {
  if (!existsSync(file)) await fillVariedRoll(file, count)
  console.log(`${(statSync(file).size / 2 ** 30).toFixed(2)} GiB`)
  const registry = openForReading(file)
  await measure(registry)
  await closeRegistry(registry)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

async function measure(registry: Registry): Promise<void> {
  const now = registry.sqlite.prepare("SELECT seen_at FROM nodes WHERE id = 'bench'").pluck().get() as number
  const pages = preparePages(registry, now)
  const asked = filters(registry.sqlite, count, now)
  const chosen = Object.entries(asked)
  let pair = 0
  const orders = deviceSorts.flatMap(by => [false, true].map(descending => ({ by, descending })))
  const ends = new Map(
    orders.map(sort => [sort, Object.entries(depths).map(([name, at]) => keyAt(registry, sort, name, at))]),
  )
  const one: Took[] = []
  const two: Took[] = []
  const totals: Took[] = []
  for (const [at, [name, filter]] of chosen.entries()) {
    for (let round = 0; round < ROUNDS_OF_ONE; round += 1) await look(one, totals, name, filter)
    for (const [other, second] of chosen.slice(at + 1)) {
      if (sharesKey(filter, second)) continue
      pair += 1
      if (pair % Number(pairs) === 0) await look(two, totals, `${name} + ${other}`, { ...filter, ...second })
    }
  }
  report('a filter or none', one)
  report('two filters', two)
  report('totals', totals)

  async function look(into: Took[], counted: Took[], name: string, filter: DeviceFilter): Promise<void> {
    for (const [sort, keys] of ends)
      for (const [depth, key] of keys) {
        const order = `${sort.descending ? '-' : ''}${sort.by}`
        into.push(await timed(`${name} by ${order}, ${depth}`, () => pages.page(filter, key, sort)))
      }
    counted.push(await timed(name, () => pages.total(filter)))
  }
}

/** As the service makes a page. */
function preparePages(registry: Registry, now: number) {
  const roll = createRollReader(registry)
  const live = prepareLiveSessions(registry.sqlite)
  const seen = prepareLastSeen(registry.sqlite)
  return {
    /** `short`: it ended before its limit, and there is more. */
    async page(filter: DeviceFilter, after: DeviceKey | null, sort: DeviceSort): Promise<string> {
      const { items, next } = await roll.devices(filter, after, PAGE, now, sort)
      const ids = items.map(({ id }) => id)
      const connected = live.connectedOf(ids, now)
      const last = seen.ofDevices(ids, now)
      JSON.stringify(items.map(one => toDeviceResponse(one, connected.has(one.id), last.get(one.id) ?? null)))
      return next === null || items.length === PAGE ? 'whole' : items.length === 0 ? 'empty' : 'short'
    },
    async total(filter: DeviceFilter): Promise<string> {
      return roll.countDevices(filter, now).exact ? 'whole' : 'short'
    },
  }
}

function keyAt(
  { sqlite }: Registry,
  sort: DeviceSort,
  depth: string,
  at: number,
): [string, DeviceKey | null] {
  if (at === 0) return [depth, null]
  const [table, key, column] = columns[sort.by]
  const way = sort.descending ? 'DESC' : ''
  const text = `SELECT ${column} AS value, ${key} AS id FROM ${table} ORDER BY ${column} ${way}, ${key} ${way} LIMIT 1 OFFSET ?`
  return [depth, sqlite.prepare(text).get(Math.floor(count * at)) as DeviceKey]
}

function sharesKey(one: DeviceFilter, other: DeviceFilter): boolean {
  return Object.keys(one).some(key => Object.hasOwn(other, key))
}

async function timed(name: string, work: () => Promise<string>): Promise<Took> {
  const cpu = process.cpuUsage()
  const begin = performance.now()
  const found = await work()
  const wall = performance.now() - begin
  const { user, system } = process.cpuUsage(cpu)
  return { name, wall, cpu: (user + system) / 1_000, found }
}

function report(of: string, took: readonly Took[]): void {
  if (took.length === 0) return
  const spread = (values: number[]) => {
    const sorted = values.toSorted((a, b) => a - b)
    const at = (quantile: number) =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]!
    return `${[0.5, 0.99, 1].map(quantile => at(quantile).toFixed(1)).join(' / ')}`
  }
  const wall = spread(took.map(one => one.wall))
  const cpu = spread(took.map(one => one.cpu))
  const share = (found: string) =>
    ((100 * took.filter(one => one.found === found).length) / took.length).toFixed(1)
  const slow = took.filter(one => one.cpu > LIMIT_MS)
  console.log(
    `${of}: ${took.length} asked, p50 / p99 / most ${wall} ms by the clock, ${cpu} of CPU, ${slow.length} above ${LIMIT_MS}; ${share('short')} % ended early, ${share('empty')} % without a device`,
  )
  for (const { name, wall, cpu, found } of took.toSorted((a, b) => b.cpu - a.cpu).slice(0, SHOWN))
    console.log(`  ${cpu.toFixed(1)} of CPU, ${wall.toFixed(1)} by the clock, ${found}: ${name}`)
}

/** Each filter that the API takes, with what finds many, few and none. */
function filters(sqlite: Registry['sqlite'], count: number, now: number): Record<string, DeviceFilter> {
  const middle = `fleet-${String(Math.floor(count / 2)).padStart(7, '0')}`
  const print = sqlite
    .prepare('SELECT fingerprint FROM certificates WHERE device_id = ?')
    .pluck()
    .get(middle) as string
  const serial = sqlite
    .prepare('SELECT serial_number FROM certificates WHERE device_id = ?')
    .pluck()
    .get(middle) as string
  // The bench's own clock is a day ahead.
  const then = now - DAY_MS
  return {
    none: {},
    registered: { state: 'registered' },
    active: { state: 'active' },
    suspended: { state: 'suspended' },
    decommissioned: { state: 'decommissioned' },
    'group of all': { group: 'all' },
    'group of a tenth': { group: 'tenth' },
    'group of a hundredth': { group: 'site-42' },
    'group of none': { group: 'nothing' },
    'scope of a tenth': { scope: 'tenth' },
    'scope of a hundredth': { scope: 'site-3' },
    'prefix of all': { prefix: 'fleet-' },
    'prefix of a tenth': { prefix: 'fleet-05' },
    'prefix of few': { prefix: 'fleet-00123' },
    'attribute of half': { attribute: { name: 'site', value: 'north' } },
    'attribute of one': { attribute: { name: 'serial', value: 'sn-777' } },
    connected: { connected: true },
    'not connected': { connected: false },
    'with a session': { hasSession: true },
    'kept session': { keptSession: true },
    'search of all': { search: 'fleet' },
    'search of few IDs': { search: 'fleet-00424' },
    'search of a fingerprint': { search: print },
    'search of a serial number': { search: serial },
    'search of half': { search: 'site:south' },
    'search of two terms': { search: 'fleet-0 site:north' },
    'search of nothing': { search: 'deadbeefdeadbeef' },
    'silent for a week': { lastSeenBefore: then - 7 * DAY_MS },
    'silent for a year': { lastSeenBefore: then - 365 * DAY_MS },
    'seen within a day': { lastSeenAfter: then - DAY_MS },
    'last seen last month': { lastSeenBefore: then - 30 * DAY_MS, lastSeenAfter: then - 60 * DAY_MS },
    'connected before a week': { connectedBefore: then - 7 * DAY_MS },
    'connected within a day': { connectedAfter: then - DAY_MS },
    'never connected': { neverConnected: true },
    'ever connected': { neverConnected: false },
    'certificate pending': { certificateStatus: 'pending' },
    'certificate issued': { certificateStatus: 'issued' },
    'certificate active': { certificateStatus: 'active' },
    'certificate revoked': { certificateStatus: 'revoked' },
    'expires within a week': { expiresBefore: then + 7 * DAY_MS },
    'expires after 80 days': { expiresAfter: then + 80 * DAY_MS },
    'expires in a month': { expiresAfter: then + 30 * DAY_MS, expiresBefore: then + 37 * DAY_MS },
  }
}
