// A page of devices is read by a statement for many: it says of each device what the device read alone says.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { type DeviceKey, deviceSorts } from '../../../db/roll/device-list.ts'
import { prepareLastSeen } from '../../../db/roll/last-seen.ts'
import { createRollReader, type RollReader } from '../../../db/roll/roll-reader.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'

/** More than one statement reads. */
const DEVICES = 150
const now = Date.now()
let roll: Roll
let reader: RollReader
let ids: string[]

before(async () => {
  roll = await createRoll()
  const { sqlite } = roll.registry
  reader = createRollReader(roll.registry)
  ids = Array.from({ length: DEVICES }, (_, index) => `device-${String(index).padStart(3, '0')}`)
  const device = sqlite.prepare(
    "INSERT INTO devices (id, state, attributes, created_at, updated_at) VALUES (?, 'registered', ?, ?, ?)",
  )
  const group = sqlite.prepare('INSERT INTO device_groups (device_id, name) VALUES (?, ?)')
  sqlite.transaction(() => {
    for (const [index, id] of ids.entries()) {
      device.run(id, JSON.stringify({ nr: `${index}`, site: 'ü' }), now - (index % 7), now + (index % 5))
      for (const name of ['zinc', 'Alpha', 'mid'].slice(0, index % 4)) group.run(id, name)
    }
  })()
  await roll.enroll('twice')
  await roll.list('twice', await roll.issuing.issue({ name: 'twice' }))
  await roll.enroll('suspended')
  await roll.writer.setDeviceState('suspended', 'suspended', tester)
  await roll.enroll('ended')
  await roll.writer.setDeviceState('ended', 'decommissioned', tester)
  ids.push('ended', 'suspended', 'twice')
  noteLastSeen()
})
after(() => roll.close())

function noteLastSeen(): void {
  const notes = createBrokerNotes(roll.registry)
  notes.enter('living', 0, now)
  notes.enter('silent', 0, now - 60_000)
  const rest = { sessionKept: true, messagesWaiting: 3, bytesIn: 5, bytesOut: 7 }
  for (const [index, deviceId] of ids.entries()) {
    const address = `192.0.2.${index}`
    const live = { since: now - index, address, fingerprint: 'f'.repeat(64), protocolLevel: 4 }
    const ended = { ...live, until: now - 1, reason: 'connection_lost' }
    const isLive = index % 4 < 2
    const note = { deviceId, ...rest, live: isLive ? live : null, ended: isLive ? null : ended }
    if (index % 4 !== 3) notes.lastSeen(index % 4 === 0 ? 'living' : 'silent', [note])
  }
}

test('a page in every order says of each device what the device read alone says', async () => {
  const alone = new Map(await Promise.all(ids.map(async id => [id, await reader.device(id)] as const)))
  for (const by of deviceSorts) {
    const { items, next } = await reader.devices({}, null, 500, now, { by, descending: false })
    assert.equal(next, null)
    assert.deepEqual(items.map(({ id }) => id).toSorted(), ids)
    for (const device of items) assert.deepEqual(device, alone.get(device.id))
  }
  const { items } = await reader.devices({}, null, 500, now)
  assert.deepEqual(items[3]!.groups, ['Alpha', 'mid', 'zinc'])
})

test('last seen of many says of each device what last seen of the device says', () => {
  const lastSeen = prepareLastSeen(roll.registry.sqlite)
  const seen = lastSeen.ofDevices([...ids, 'unknown'], now)
  assert.deepEqual([...seen.keys()].toSorted(), ids.filter((_, index) => index % 4 !== 3).toSorted())
  for (const [id, of] of seen) assert.deepEqual(of, lastSeen.ofDevice(id, now))
  assert.deepEqual(
    [0, 1, 2].map(index => [seen.get(ids[index]!)!.disconnectedAt, seen.get(ids[index]!)!.reason]),
    [
      [null, null],
      [now - 1, 'broker_lost'],
      [now - 1, 'connection_lost'],
    ],
  )
  assert.equal(lastSeen.ofDevice(ids[3]!, now), null)
})

test('pages of devices with long attributes end early, and go on without a gap', async () => {
  const long = JSON.stringify({ text: 'x'.repeat(8_000) })
  roll.registry.sqlite.prepare('UPDATE devices SET attributes = ?').run(long)
  for (const by of deviceSorts) {
    const found: string[] = []
    let most = 0
    for (let next = null as DeviceKey | null; ; ) {
      const page = await reader.devices({}, next, 500, now, { by, descending: false })
      most = Math.max(most, page.items.length)
      found.push(...page.items.map(({ id }) => id))
      if (page.next === null) break
      next = page.next
    }
    // The device that passes 512 Ki characters is the last one.
    assert.equal(most, Math.ceil((512 * 1024) / (long.length + 3 * 32)) + 1)
    assert.deepEqual(found.toSorted(), ids)
  }
})
