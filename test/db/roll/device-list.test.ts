// Lists of devices against a list that looks at everything: every filter with every other, page by page, in order, nothing twice.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { attributeOf, type DeviceFilter, prepareDeviceList } from '../../../db/roll/device-list.ts'
import type { Device } from '../../../db/roll/roll-reader.ts'
import { createRollReader } from '../../../db/roll/roll-reader.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'

let roll: Roll
let all: Device[]
const fingerprints = new Map<string, string>()
const serials = new Map<string, string>()
const connected = new Set<string>()
const now = Date.now()

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
  all = []
  for (const id of await pages({}, 7)) all.push((await reader.device(id))!)
  assert.equal(all.length, 40)
})
after(() => roll.close())

async function pages(filter: DeviceFilter, limit: number, rowsSeenMax?: number): Promise<string[]> {
  const list = prepareDeviceList(roll.registry, rowsSeenMax)
  const ids: string[] = []
  for (let next = null as string | null; ; ) {
    const page = list(filter, next, limit, now)
    assert.ok(page.ids.length <= limit)
    ids.push(...page.ids)
    if (page.next === null) return ids
    assert.ok(next === null || page.next > next, 'pages go on')
    next = page.next
  }
}

function passes(filter: DeviceFilter, { id, state, groups, attributes }: Device): boolean {
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
  return (
    (filter.state === undefined || filter.state === state) &&
    (filter.group === undefined || groups.includes(filter.group)) &&
    (filter.scope == null || groups.includes(filter.scope)) &&
    (filter.prefix === undefined || id.startsWith(filter.prefix)) &&
    (filter.connected === undefined || filter.connected === connected.has(id)) &&
    (filter.attribute === undefined || has(filter.attribute.name, filter.attribute.value)) &&
    (filter.search === undefined || matches(filter.search))
  )
}

test('every combination of filters gives what looking at all devices gives', async () => {
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
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
  })
  await fc.assert(
    fc.asyncProperty(
      filters,
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 50 }),
      async (given, limit, seen) => {
        const filter = given as DeviceFilter
        const expected = all.filter(device => passes(filter, device)).map(({ id }) => id)
        assert.deepEqual(await pages(filter, limit, seen), expected)
      },
    ),
    { numRuns: 400 },
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
