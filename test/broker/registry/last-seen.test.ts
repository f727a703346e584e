// What the registry says of a device that connected: since when, from where, how it ended, what waits for it, and how much it sent;
// after a broker that was killed, too.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { type LastSeen, prepareLastSeen } from '../../../db/roll/last-seen.ts'
import { NODE_GONE_MS } from '../../../db/roll/live-sessions.ts'
import { startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { speak5 } from '../../harness/mqtt5-client.ts'
import { kept5, publish5, subscribe5 } from '../../harness/packets5.ts'
import { visit } from '../../harness/raw-client.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

let roll: Roll
let t: TestBroker
/** Nobody waits half a second for each note. */
const intervals = { expiryCheckMs: 1_000, registryWriteMs: 4 }
before(async () => {
  roll = await createRoll()
  t = await startTestBroker({ roll, intervals })
})
after(async () => {
  await t.close()
  await roll.close()
})

const seen = (id: string, now = Date.now()) => prepareLastSeen(roll.registry.sqlite).ofDevice(id, now)

async function once(id: string, holds: (is: LastSeen) => boolean): Promise<LastSeen> {
  await until(() => {
    const is = seen(id)
    return is !== null && holds(is)
  })
  return seen(id)!
}

test('says since when a device is connected and from where, and how its connection ended', async () => {
  const begun = Date.now()
  const device = await roll.enroll('pump')
  assert.equal(seen('pump'), null)
  const first = await speak5(t, device, { clientId: 'pump' })
  const here = await once('pump', is => is.disconnectedAt === null)
  assert.ok(here.connectedAt >= begun && here.connectedAt <= Date.now())
  assert.deepEqual(
    [here.address, here.protocol, here.fingerprint, here.reason, here.sessionKept],
    ['127.0.0.1', '5', device.fingerprint, null, false],
  )
  first.say({ cmd: 'disconnect' })
  await first.closed()
  const gone = await once('pump', is => is.disconnectedAt !== null)
  assert.equal(gone.reason, 'client_disconnect')
  assert.ok(gone.disconnectedAt! >= gone.connectedAt)

  const second = await visit(t, device, { clientId: 'pump' })
  await once('pump', is => is.disconnectedAt === null && is.protocol === '3.1.1')
  second.cut()
  assert.equal((await once('pump', is => is.disconnectedAt !== null)).reason, 'connection_lost')

  const third = await speak5(t, device, { clientId: 'pump' })
  await roll.writer.setDeviceState('pump', 'suspended', tester)
  await third.closed()
  const cut = await once('pump', is => is.reason === 'device_suspended')
  assert.notEqual(cut.disconnectedAt, null)
})

test('a takeover leaves the device connected', async () => {
  const device = await roll.enroll('twin')
  const first = await speak5(t, device, { clientId: 'twin' })
  const { connectedAt } = await once('twin', is => is.disconnectedAt === null)
  await speak5(t, device, { clientId: 'twin' })
  await first.closed()
  const is = await once('twin', one => one.reason === 'taken_over')
  assert.deepEqual([is.disconnectedAt, is.connectedAt >= connectedAt], [null, true])
})

test('counts what waits for a device that is away, and what it sent over all its connections', async () => {
  const device = await roll.enroll('meter')
  const backend = await roll.enroll('server', { groups: ['backend'] })
  const first = await speak5(t, device, { clientId: 'meter', ...kept5(3_600) })
  first.say(subscribe5(1, 'devices/meter/commands'))
  await until(() => first.of('suback').length === 1)
  first.say({ cmd: 'disconnect' })
  await first.closed()
  const away = await once('meter', is => is.disconnectedAt !== null)
  assert.deepEqual([away.sessionKept, away.messagesWaiting], [true, 0])
  const sender = await speak5(t, backend, { clientId: 'server' })
  sender.say(publish5('devices/meter/commands', 1), publish5('devices/meter/commands', 2))
  // A note may be written between the two.
  await once('meter', is => is.messagesWaiting === 2)

  const again = await speak5(t, device, { clientId: 'meter', ...kept5(0) })
  const { bytesIn } = await once('meter', is => is.bytesIn > away.bytesIn && is.bytesOut > away.bytesOut)
  assert.ok(bytesIn > 2 * 10)
  // Of a connection that lasts, too.
  again.say({ cmd: 'pingreq' })
  await once('meter', is => is.bytesIn >= bytesIn + 2)
  again.say({ cmd: 'disconnect' })
  await again.closed()
  const ended = await once('meter', is => is.disconnectedAt !== null)
  assert.deepEqual([ended.sessionKept, ended.messagesWaiting], [false, 0])
})

test('a broker that stops in order leaves nobody connected', async () => {
  const device = await roll.enroll('last')
  const other = await startTestBroker({ roll, intervals, nodeId: 'other' })
  await speak5(other, device, { clientId: 'last', ...kept5(60) })
  await other.broker.close()
  const is = seen('last')!
  assert.deepEqual([is.reason, is.sessionKept], ['broker_stopped', true])
  assert.ok(is.disconnectedAt! >= is.connectedAt)
})

test('of a broker that was killed, devices were connected until its last sign of life', async () => {
  await roll.enroll('orphan')
  const notes = createBrokerNotes(roll.registry)
  const at = Date.now()
  const live = { since: at, address: '192.0.2.1', fingerprint: 'f'.repeat(64), protocolLevel: 4 }
  const rest = { sessionKept: false, messagesWaiting: 0, bytesIn: 10, bytesOut: 4 }
  notes.enter('killed', 0, at)
  notes.lastSeen('killed', [{ deviceId: 'orphan', live, ended: null, ...rest }])
  notes.seen('killed', at + 5_000, 1, { replica: null, busConnected: null, drainAt: null })
  assert.equal(seen('orphan', at + 5_000)!.disconnectedAt, null)
  const lost = { disconnectedAt: at + 5_000, reason: 'broker_lost' }
  const { disconnectedAt, reason } = seen('orphan', at + 5_000 + NODE_GONE_MS)!
  assert.deepEqual({ disconnectedAt, reason }, lost)
  notes.enter('killed', 0, at + 60_000)
  const after = seen('orphan', at + 60_000)!
  assert.deepEqual({ disconnectedAt: after.disconnectedAt, reason: after.reason }, lost)
  assert.deepEqual([after.bytesIn, after.bytesOut], [10, 4])
  notes.leave('killed')
})
