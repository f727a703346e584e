// One hostile device fills everything that the broker keeps of it, over real sockets: each row of the table, and the sum of them.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { memoryOfDevice } from '../../../broker/mqtt/device-bounds.ts'
import { validateSettings } from '../../../broker/settings/validation.ts'
import type { Identity } from '../../harness/authority.ts'
import { type Listening, mqttClient, remainingLength } from '../../harness/broker.ts'
import { type ForkedBroker, forkBroker } from '../../harness/fork.ts'
import {
  packetsOf,
  publishQos1,
  publishQos2,
  rawSession,
  subscribePacket,
  visit,
} from '../../harness/raw-client.ts'
import { createRoll, type Roll } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

const MIB = 1_048_576
const SUBACK = 9
const RETAIN = 1
const AT_ONCE = 100
const REFUSED = 0x80
const settings = validateSettings({})
const table = memoryOfDevice(settings)

let roll: Roll
let broker: ForkedBroker
let at: Listening
before(async () => {
  roll = await createRoll()
  broker = await forkBroker(roll, { settings: { sysIntervalMs: 0 } })
  at = { broker: broker as never, roll }
})
after(async () => {
  await broker.close()
  await roll.close()
})

/** The least of several: what the broker itself does now and then takes 200 KB for some collections. */
async function bytes(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let measured = 0; measured < 3; measured += 1) least = Math.min(least, (await broker.measure()).bytes)
  return least
}
const figure = async (name: string) =>
  Number(
    (await broker.measure()).metrics
      .split('\n')
      .find(line => line.startsWith(`${name} `))
      ?.split(' ')[1],
  )

/** Sends packets, a hundred at a time, until one is refused; gives how many were answered. */
async function sendUntilRefused(
  identity: Identity,
  id: string,
  packetOf: (index: number) => Buffer,
): Promise<number> {
  const device = await rawSession(at, identity, { clientId: id, clean: false })
  const answers = packetsOf(device)
  while (!device.destroyed) {
    const before = answers.length
    device.write(Buffer.concat(Array.from({ length: AT_ONCE }, (_, index) => packetOf(before + index))))
    await until(() => device.destroyed || answers.length === before + AT_ONCE)
  }
  return answers.length
}

/** Small messages under topics of many levels. */
function retainAll(identity: Identity, id: string): Promise<number> {
  return sendUntilRefused(identity, id, index => {
    const packet = publishQos1(`devices/${id}/${'a/'.repeat(50)}${index}`, 1 + (index % 1_000), 'x')
    packet[0]! |= RETAIN
    return packet
  })
}

function withhold(identity: Identity, id: string): Promise<number> {
  return sendUntilRefused(identity, id, index => publishQos2(`devices/${id}/x`, 1 + index, 'x'.repeat(100)))
}

/** Subscribes to long filters of as many levels as may be, until one is refused; gives how many were granted. */
async function subscribeAll(identity: Identity, id: string): Promise<number> {
  const device = await visit(at, identity, { clientId: id })
  for (let count = 0, packets = 0; ; packets += 1) {
    const filters = Array.from({ length: 50 }, (_, index) => {
      const own = `${count + index}`.padStart(5, 'x')
      return `devices/${id}/${Array.from({ length: 60 }, (_level, depth) => `${own}${depth}`.padEnd(15, 'y')).join('/')}`
    })
    const granted = (await device.ask(subscribePacket(1, filters, 1), SUBACK)).subarray(-50)
    const taken = granted.filter(code => code !== REFUSED).length
    count += taken
    if (taken < 50 || packets > 50) {
      device.cut()
      return count
    }
  }
}

test('the security model lists the table as the code has it, and its sum', () => {
  const page = readFileSync(new URL('../../../docs/security-model.md', import.meta.url), 'utf8')
  const listed = [...page.matchAll(/^\| ([\w .]+?)(?: \\\*)? \| [^|]* \| ([\d,]+) \|$/gm)]
  const kib = (bytes: number) => Math.round(bytes / 1_024).toLocaleString('en')
  assert.deepEqual(
    listed.map(([, what, figure]) => [what, figure]),
    [
      ...table.map(({ what, bytes: most }) => [what, kib(most)]),
      ['all together', kib(table.reduce((all, row) => all + row.bytes, 0))],
    ],
  )
})

test('each row of the table holds, and all of them together stay below 8 MiB', async t => {
  const sum = table.reduce((all, row) => all + row.bytes, 0)
  assert.ok(sum <= 8 * MIB, `the bounds allow ${sum} bytes`)
  const boundOf = (what: string) => table.find(row => row.what === what)!.bytes
  // Code that runs for the first time, and a first device of each kind, are none of the hostile one's.
  const warm = await roll.enroll('warm')
  await retainAll(warm, 'warm')
  await subscribeAll(warm, 'warm')
  await withhold(warm, 'warm')
  const cleared = await visit(at, warm, { clientId: 'warm', clean: true })
  cleared.cut()
  const hostile = await roll.enroll('hostile')
  const start = await bytes()
  let before = start
  const grown = async (what: string, note: string) => {
    const now = await bytes()
    t.diagnostic(`${what}: ${note}, ${now - before} of ${boundOf(what)} bytes`)
    assert.ok(now - before <= boundOf(what), `${what}: ${now - before} of ${boundOf(what)} bytes`)
    before = now
  }
  const retained = await retainAll(hostile, 'hostile')
  await grown('retained messages', `${retained} messages`)
  const filters = await subscribeAll(hostile, 'hostile')
  const subscribed = await visit(at, hostile, { clientId: 'hostile' })
  await grown('subscriptions', `${filters} filters of 1,000 bytes and 62 levels`)
  subscribed.cut()
  before = await bytes()
  const ids = await withhold(hostile, 'hostile')
  await grown('QoS 2 without PUBREL', `${ids} identifiers`)
  // It comes back, reads nothing, and has sent most of one packet.
  const plain = await rawSession(at, hostile, { clientId: 'hostile', clean: false, keepalive: 0 })
  before = await bytes()
  plain.destroy()
  const will = { topic: 'devices/hostile/will', payload: 'w'.repeat(60_000) }
  const device = await rawSession(at, hostile, { clientId: 'hostile', clean: false, will, keepalive: 0 })
  await grown('will', 'one of 60,000 bytes')
  const half = Buffer.concat([
    Buffer.from([0x30]),
    remainingLength(settings.packetBytesMax),
    Buffer.alloc(settings.packetBytesMax - 2_000),
  ])
  await new Promise(resolve => device.write(half, resolve))
  await grown('packet being read', 'half a packet')
  device.pause()
  device.removeAllListeners('data')
  const backend = await mqttClient(at, 'b1', await roll.enroll('b1', { groups: ['backend'] }))
  const topic = `devices/hostile/${Array.from({ length: 60 }, (_level, depth) => `xxxx0${depth}`.padEnd(15, 'y')).join('/')}`
  await until(async () => {
    for (let sent = 0; sent < 20; sent += 1) await backend.publishAsync(topic, 'x'.repeat(50_000), { qos: 0 })
    return (await figure('rollcall_messages_dropped_total{queue="outbound"}')) > 0
  })
  await grown('unsent messages', 'a consumer that reads nothing')
  const all = before - start
  t.diagnostic(`all together: ${all} bytes, of ${sum} that the bounds allow`)
  assert.ok(all <= 8 * MIB, `${all} bytes`)
  device.destroy()
  await backend.endAsync(true)
})
