// Lists of devices against a list that looks at everything: every filter with every other, page by page, in order, nothing twice.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { attributeOf, type DeviceFilter, termsOf } from '../../../db/roll/device-filter.ts'
import {
  byId,
  type DeviceKey,
  type DeviceSort,
  deviceSorts,
  prepareDeviceList,
} from '../../../db/roll/device-list.ts'
import { CONNECTED, type LastSeenNote } from '../../../db/roll/last-seen.ts'
import type { Device } from '../../../db/roll/roll-reader.ts'
import { createRollReader } from '../../../db/roll/roll-reader.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'

let roll: Roll
let all: Device[]
const fingerprints = new Map<string, string>()
const serials = new Map<string, string>()
const connected = new Set<string>()
const MINUTE = 60_000
/** On a whole minute, so that times are at, just before and just after the bounds of a filter. */
const now = Math.floor(Date.now() / MINUTE) * MINUTE
const seen = new Map<string, { since: number; until: number; note: LastSeenNote }>()

before(async () => {
  roll = await createRoll()
  const { writer } = roll
  for (let index = 0; index < 40; index += 1) {
    const id = `${['pump', 'valve', 'Deadbeef'][index % 3]}-${String(index).padStart(2, '0')}`
    const groups = [...(index % 2 === 0 ? ['even'] : []), ...(index % 5 === 0 ? ['fifth'] : [])]
    const attributes: Record<string, string> = { site: index % 4 === 0 ? 'north' : 'south:b' }
    if (index % 7 === 0) attributes['rare'] = `${index}`
    if (index % 10 === 3) {
      fingerprints.set(id, (await roll.enroll(id)).fingerprint)
      await writer.changeDevice(id, { attributes, groups }, tester)
    } else await writer.addDevice({ id, attributes, groups }, tester)
    if (index % 6 === 0) await writer.setDeviceState(id, 'suspended', tester)
  }
  const reader = createRollReader(roll.registry)
  for (const [id, fingerprint] of fingerprints)
    serials.set(id, (await reader.certificate(fingerprint))!.serialNumber)
  const notes = createBrokerNotes(roll.registry)
  notes.enter('node', 0, now)
  notes.enter('dead', 0, now - 60_000)
  const session = (deviceId: string) => ({
    ...{
      deviceId,
      clientId: deviceId,
      fingerprint: 'f'.repeat(64),
      address: '192.0.2.1',
      since: now,
      facts: {},
    },
  })
  for (const id of ['pump-03', 'pump-06', 'valve-10', 'Deadbeef-20']) {
    connected.add(id)
    notes.liveSessions('node', [{ deviceId: id, sessions: [session(id)] }])
  }
  notes.liveSessions('dead', [{ deviceId: 'pump-00', sessions: [session('pump-00')] }])
  // Connected now, gone at some minute, or never seen.
  for (let index = 0; index < 40; index += 1) {
    const id = `${['pump', 'valve', 'Deadbeef'][index % 3]}-${String(index).padStart(2, '0')}`
    if (index % 4 === 1) continue
    const since = now - (index % 9) * MINUTE
    const connection = { since, address: '192.0.2.1', fingerprint: 'f'.repeat(64), protocolLevel: 5 }
    const until = since + (index % 5) * MINUTE
    const ended = connected.has(id) ? null : { ...connection, until, reason: 'connection_lost' }
    const note: LastSeenNote = {
      ...{ deviceId: id, live: ended === null ? connection : null, ended, sessionKept: false },
      ...{ messagesWaiting: index % 3, bytesIn: index * 7, bytesOut: 100 - index },
    }
    notes.lastSeen('node', [note])
    seen.set(id, { since, until: ended === null ? CONNECTED : until, note })
  }
  all = []
  for (const id of await pages({}, 7)) all.push((await reader.device(id))!)
  assert.equal(all.length, 40)
})
after(() => roll.close())

async function pages(
  filter: DeviceFilter,
  limit: number,
  rowsSeenMax?: number,
  sort: DeviceSort = byId,
): Promise<string[]> {
  const list = prepareDeviceList(roll.registry, rowsSeenMax)
  const ids: string[] = []
  for (let next = null as DeviceKey | null; ; ) {
    const page = list(filter, next, limit, now, sort)
    assert.ok(page.ids.length <= limit)
    ids.push(...page.ids)
    if (page.next === null) return ids
    assert.notDeepEqual(page.next, next, 'pages go on')
    next = page.next
  }
}

const valuesOf: Record<DeviceSort['by'], (device: Device) => string | number> = {
  id: ({ id }) => id,
  state: ({ state }) => state,
  createdAt: ({ createdAt }) => createdAt,
  updatedAt: ({ updatedAt }) => updatedAt,
  certificateStatus: ({ certificate }) => certificate?.status ?? '',
  certificateExpiry: ({ certificate }) => certificate?.notAfter ?? 0,
  lastSeen: ({ id }) => seen.get(id)?.until ?? 0,
  connectedAt: ({ id }) => seen.get(id)?.since ?? 0,
  messagesWaiting: ({ id }) => seen.get(id)?.note.messagesWaiting ?? 0,
}

function inOrder(devices: readonly Device[], { by, descending }: DeviceSort): string[] {
  const value = valuesOf[by]
  const ascending = devices.toSorted((a, b) => {
    const [first, second] = [value(a), value(b)]
    if (first !== second) return first < second ? -1 : 1
    return a.id < b.id ? -1 : 1
  })
  return (descending ? ascending.reverse() : ascending).map(({ id }) => id)
}

function passes(filter: DeviceFilter, { id, state, groups, attributes, certificate }: Device): boolean {
  const has = (name: string, value: string) => attributes[name] === value
  const matches = (search: string) => {
    const attribute = attributeOf(search)
    const hex = search.replaceAll(':', '').toLowerCase()
    return (
      id.startsWith(search) ||
      (attribute !== null && has(attribute.name, attribute.value)) ||
      (hex.length >= 8 && (fingerprints.get(id)?.startsWith(hex) ?? false)) ||
      serials.get(id) === hex
    )
  }
  const { since, until } = seen.get(id) ?? { since: 0, until: 0 }
  const isWithin = (at: number, least = 0, below = Number.POSITIVE_INFINITY) => at >= least && at < below
  const seenAsked = filter.lastSeenBefore !== undefined || filter.lastSeenAfter !== undefined
  const connectAsked = filter.connectedBefore !== undefined || filter.connectedAfter !== undefined
  return (
    (filter.neverConnected === undefined || filter.neverConnected === (until === 0)) &&
    (filter.neverConnected === true ||
      !seenAsked ||
      (until > 0 && isWithin(until, filter.lastSeenAfter, filter.lastSeenBefore))) &&
    (!connectAsked || (since > 0 && isWithin(since, filter.connectedAfter, filter.connectedBefore))) &&
    (filter.certificateStatus === undefined || filter.certificateStatus === certificate?.status) &&
    (filter.expiresBefore === undefined ||
      (certificate !== null && certificate.notAfter < filter.expiresBefore)) &&
    (filter.state === undefined || filter.state === state) &&
    (filter.group === undefined || groups.includes(filter.group)) &&
    (filter.scope == null || groups.includes(filter.scope)) &&
    (filter.prefix === undefined || id.startsWith(filter.prefix)) &&
    (filter.connected === undefined || filter.connected === connected.has(id)) &&
    (filter.attribute === undefined || has(filter.attribute.name, filter.attribute.value)) &&
    (filter.search === undefined || termsOf(filter.search).every(matches))
  )
}

test('every combination of filters gives what looking at all devices gives', async () => {
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
  const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
    fc.oneof({ arbitrary: fc.constant(undefined), weight: 5 }, { arbitrary, weight: 1 })
  const times = fc.integer({ min: 0, max: 9 }).map(minutes => now - minutes * MINUTE)
  const someFingerprint = [...fingerprints.values()][0]!
  const someSerial = [...serials.values()][1]!
  const searches = [
    'pump-',
    'Deadbeef',
    'deadbeef',
    'site:north',
    'site:south:b',
    'rare:7',
    'nothing',
    'x:y',
    'pump site:north',
    'Deadbeef pump',
    'site:"south:b"  valve-',
    someFingerprint,
    someFingerprint.slice(0, 8),
    someFingerprint.slice(0, 7),
    someSerial,
    someSerial.toUpperCase().match(/../g)!.join(':'),
  ]
  const filters = fc.record({
    state: maybe(fc.constantFrom('registered', 'active', 'suspended', 'decommissioned')),
    group: maybe(fc.constantFrom('even', 'fifth', 'none')),
    scope: fc.constantFrom(null, null, 'even', 'fifth'),
    prefix: maybe(fc.constantFrom('pump', 'valve-1', 'D', 'zz')),
    connected: maybe(fc.boolean()),
    attribute: maybe(
      fc.constantFrom(
        { name: 'site', value: 'north' },
        { name: 'rare', value: '7' },
        { name: 'no', value: '' },
      ),
    ),
    search: maybe(fc.constantFrom(...searches)),
    lastSeenBefore: rarely(times),
    lastSeenAfter: rarely(times),
    connectedBefore: rarely(times),
    connectedAfter: rarely(times),
    neverConnected: rarely(fc.boolean()),
    certificateStatus: rarely(fc.constantFrom('issued', 'active', 'revoked')),
    expiresBefore: rarely(fc.constantFrom(now, now + 10_000 * 86_400_000)),
  })
  const sorts = fc.record({ by: fc.constantFrom(...deviceSorts), descending: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(
      filters,
      sorts,
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 50 }),
      async (given, sort, limit, rowsSeenMax) => {
        const filter = given as DeviceFilter
        const fitting = all.filter(device => passes(filter, device))
        assert.deepEqual(await pages(filter, limit, rowsSeenMax, sort), inOrder(fitting, sort))
        const { count, exact } = prepareDeviceList(roll.registry, rowsSeenMax).count(filter, now)
        if (exact) assert.equal(count, fitting.length)
        else assert.ok(count <= fitting.length)
      },
    ),
    { numRuns: 500 },
  )
})

test('what is found by its attribute follows every change of the device', async () => {
  const { writer } = roll
  const found = (value: string) => pages({ attribute: { name: 'colour', value } }, 10)
  await writer.addDevice({ id: 'zebra', attributes: { colour: 'black', name: 'z' }, groups: [] }, tester)
  assert.deepEqual(await found('black'), ['zebra'])
  await writer.changeDevice('zebra', { attributes: { colour: 'white' } }, tester)
  assert.deepEqual([await found('black'), await found('white')], [[], ['zebra']])
  await writer.changeDevice('zebra', { attributes: {} }, tester)
  assert.deepEqual(await found('white'), [])
})
