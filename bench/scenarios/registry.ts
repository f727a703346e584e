// What a large registry costs. Run by hand: node bench/scenarios/registry.ts [certificates]
// Fills the registry of a real data directory, then measures look-ups, sweep steps, lists, its size, and the start with it.
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { prepareAdmissionLookup } from '../../db/admission-lookup.ts'
import { closeRegistry, createRegistryWriter, openForWriting, type Registry } from '../../db/index.ts'
import { openForReading } from '../../db/open.ts'
import { prepareExpiringCount } from '../../db/roll/deadlines.ts'
import type { DeviceFilter } from '../../db/roll/device-filter.ts'
import { prepareNearestDevice } from '../../db/roll/nearest-device.ts'
import { createRollReader } from '../../db/roll/roll-reader.ts'
import type { DeadlineKind } from '../../db/schema.ts'
import { fillRoll } from '../large-roll.ts'
import { measureStarts } from './start.ts'

const count = Number(process.argv[2] ?? 1_000_000)
const HOUR_MS = 3_600_000
const LOOKUPS = 200_000
const DUE_OF_EACH_KIND = 2_000
const STEPS_AT_ONCE = 10
const rows: Record<string, string>[] = []

const starts = await measureStarts(3, async data => {
  const file = join(data, 'registry.db')
  const registry = openForWriting(file)
  const issuerId = registry.sqlite
    .prepare("SELECT id FROM issuers WHERE kind = 'issuing'")
    .pluck()
    .get() as string
  const begin = performance.now()
  const fingerprints = await fillRoll(registry, issuerId, count)
  const seconds = (performance.now() - begin) / 1_000
  note('filled', `${Math.round(count / seconds).toLocaleString('en')} certificates/s`, '–')
  note(
    'size',
    `${(statSync(file).size / 2 ** 30).toFixed(2)} GiB, ${Math.round(statSync(file).size / count)} bytes each`,
    '–',
  )
  await readings(file, fingerprints)
  await sweeps(registry, fingerprints)
  await closeRegistry(registry)
  if (existsSync(`${file}-wal`)) throw new Error('the registry was not closed whole')
})
note('rollcall up → first admitted device', `${starts.map(took => took.toFixed(2)).join(' / ')} s`, '≤ 1 s')
console.table(rows)

async function readings(file: string, fingerprints: readonly string[]): Promise<void> {
  const reading = openForReading(file)
  const lookup = prepareAdmissionLookup(reading.sqlite)
  const pick = () => fingerprints[Math.floor(Math.random() * fingerprints.length)]!
  for (let warm = 0; warm < 10_000; warm += 1) lookup(pick())
  const took = Array.from({ length: LOOKUPS }, () => {
    const fingerprint = pick()
    return micros(() => lookup(fingerprint))
  })
  note('admission look-up', quantiles(took), 'p99 ≤ 100 µs')
  note(
    'look-up of a stranger',
    quantiles(repeat(20_000, at => lookup(at.toString(16).padStart(64, '0')))),
    '–',
  )

  const roll = createRollReader(reading)
  const list = (filter: DeviceFilter, after: string | null = null) =>
    roll.devices(filter, after === null ? null : { value: after, id: after }, 100, Date.now())
  const middle = `fleet-${String(count / 2).padStart(7, '0')}`
  const fingerprint = pick()
  const serial = `${'5a'.repeat(12)}${(42).toString(16).padStart(8, '0')}`
  const lists: [string, () => Promise<unknown>][] = [
    ['devices, first 100', () => list({})],
    ['devices, 100 in the middle', () => list({}, middle)],
    ['devices that are suspended', () => list({ state: 'suspended' })],
    ['devices that are active, in the middle', () => list({ state: 'active' }, middle)],
    ['devices in a state that none has', () => list({ state: 'decommissioned' })],
    ['devices of a group', () => list({ group: 'site-42' })],
    ['devices of a group that are suspended', () => list({ group: 'site-42', state: 'suspended' })],
    ['devices by prefix', () => list({ prefix: 'fleet-00123' })],
    ['devices by attribute', () => list({ attribute: { name: 'serial', value: 'sn-777' } })],
    [
      'devices by attribute that many share',
      () => list({ attribute: { name: 'site', value: 'north' } }, middle),
    ],
    ['devices that are connected', () => list({ connected: true })],
    ['devices that are not connected', () => list({ connected: false }, middle)],
    ['devices of a group that are connected', () => list({ group: 'site-42', connected: true })],
    [
      'active devices that are connected, among those that are not',
      () => list({ prefix: 'fleet-05', connected: true }),
    ],
    ['search by ID', () => list({ search: 'fleet-00424' })],
    ['search by fingerprint', () => list({ search: fingerprint })],
    ['search by the start of a fingerprint', () => list({ search: fingerprint.slice(0, 8) })],
    ['search by serial number', () => list({ search: serial })],
    ['search by attribute', () => list({ search: 'serial:sn-777' })],
    ['search for what is not there', () => list({ search: 'deadbeefdeadbeef' })],
    ['certificates that are revoked', () => roll.certificates({ status: 'revoked' }, null, 100)],
    ['certificates of a device', () => roll.certificates({ deviceId: 'fleet-0000042' }, null, 100)],
  ]
  for (const [name, ask] of lists) {
    const spent: number[] = []
    for (let round = 0; round < 50; round += 1) {
      const begin = performance.now()
      await ask()
      spent.push((performance.now() - begin) * 1_000)
    }
    note(name, quantiles(spent), 'p99 ≤ 50 ms')
  }
  const nearest = prepareNearestDevice(reading.sqlite)
  const names = ['fleet-01x2345', 'flet-00123456', 'sensor-12', 'FLEET-0000001', 'fleet-0123456.example.com']
  note('nearest device by name', quantiles(repeat(200, at => nearest([names[at % names.length]!]))), '–')
  await closeRegistry(reading)
}

/** Many steps of each kind are due; each transaction waits for the disk, as in service. */
async function sweeps(registry: Registry, fingerprints: readonly string[]): Promise<void> {
  const writer = createRegistryWriter(registry)
  const status = registry.sqlite.prepare(
    `UPDATE certificates SET status = ?, revocation_reason = NULL, grace_until = ? WHERE fingerprint = ?`,
  )
  const due = registry.sqlite.prepare(
    'INSERT OR REPLACE INTO deadlines (fingerprint, kind, due_at) VALUES (?, ?, ?)',
  )
  const kinds: [DeadlineKind, string][] = [
    ['expiring', 'active'],
    ['critical', 'active'],
    ['lapse', 'issued'],
    ['retire', 'superseded'],
    ['forget', 'pending'],
  ]
  for (const [at, [kind, as]] of kinds.entries()) {
    registry.sqlite.transaction(() => {
      for (let nth = 0; nth < DUE_OF_EACH_KIND; nth += 1) {
        const fingerprint = fingerprints[(nth * 397 + at * 101) % fingerprints.length]!
        status.run(as, as === 'superseded' ? Date.now() : null, fingerprint)
        due.run(fingerprint, kind, 1_000 + nth)
      }
    })()
    const took: number[] = []
    for (let taken = STEPS_AT_ONCE; taken === STEPS_AT_ONCE; ) {
      const begin = performance.now()
      taken = (await writer.passDeadlines(STEPS_AT_ONCE)).passed.length
      took.push((performance.now() - begin) * 1_000)
    }
    note(`sweep step, ${STEPS_AT_ONCE} × ${kind}`, quantiles(took), '≤ 20 ms')
  }
  const expiring = prepareExpiringCount(registry.sqlite)
  const now = Date.now()
  const hours = repeat(30 * 24, at => expiring(now + at * HOUR_MS, now + (at + 1) * HOUR_MS))
  note('count of those that expire, an hour of 30 days', quantiles(hours), '≤ 20 ms')
}

function repeat(times: number, work: (at: number) => unknown): number[] {
  return Array.from({ length: times }, (_, at) => micros(() => work(at)))
}

function micros(work: () => unknown): number {
  const begin = process.hrtime.bigint()
  work()
  return Number(process.hrtime.bigint() - begin) / 1_000
}

function quantiles(took: number[]): string {
  const sorted = took.toSorted((a, b) => a - b)
  const at = (quantile: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]!
  const [scale, unit] = at(0.5) >= 1_000 ? [1_000, 'ms'] : [1, 'µs']
  return `${[0.5, 0.99].map(quantile => (at(quantile) / scale).toFixed(1)).join(' / ')} ${unit}, at most ${(sorted.at(-1)! / scale).toFixed(1)}`
}

function note(measure: string, result: string, target: string): void {
  rows.push({ measure, 'p50 / p99': result, target })
  console.error(`${measure}: ${result}`)
}
