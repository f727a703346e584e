// A broker that an operator has drained: nobody new gets a session, those that are there are told where to go and end over the time that
// was ordered, and it stays so through a restart until it is resumed.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { DrainOptions } from '../../../db/nodes/node-drains.ts'
import {
  attempt,
  mqttClient,
  returningClient,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { gone } from '../../harness/inbox.ts'
import { speak5 } from '../../harness/mqtt5-client.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

const HOUR_MS = 3_600_000
const REFERENCE = 'mqtt-2.example:8883'

let roll: Roll
let t: TestBroker
beforeEach(async () => {
  roll = await createRoll()
  t = await startTestBroker({ roll })
})
afterEach(async () => {
  await t.close()
  await roll.close()
})

const drain = (options: Partial<DrainOptions> = {}) =>
  roll.writer.drainNode('broker', { overMs: 0, moved: false, serverReference: '', ...options }, tester)
const drained = () => t.line(line => line.msg === 'this node is drained: no session is left')

test('clients are told where to go, and who comes is told the same', async () => {
  const [five, four] = [await roll.enroll('five'), await roll.enroll('four')]
  const modern = await speak5(t, five, { clientId: 'five' })
  const classic = await mqttClient(t, 'four', four)
  assert.equal(t.broker.ready(), true)
  assert.equal(await drain({ serverReference: REFERENCE }), true)
  const last = await modern.next('disconnect')
  assert.equal(last.reasonCode, 0x9c)
  assert.equal(last.properties?.['serverReference'], REFERENCE)
  await modern.closed()
  await gone(classic)
  await drained()
  assert.equal(t.broker.ready(), false)

  const refused = (await speak5(t, five, { clientId: 'five' })).connack
  assert.equal(refused?.reasonCode, 0x9c)
  assert.equal(refused?.properties?.['serverReference'], REFERENCE)
  assert.match(String(refused?.properties?.['reasonString']), /^node_drained: /)
  assert.equal(await attempt(t, { identity: four, connect: { clientId: 'four' } }), 'connack 3')
  const line = await t.line(({ msg, deviceId }) => msg === 'disconnected' && deviceId === 'five')
  assert.deepEqual([line['why'], line['code']], ['node_drained', '0x9c'])

  await drain({ moved: true })
  await until(async () => (await speak5(t, five, { clientId: 'five' })).connack?.reasonCode === 0x9d)
  assert.equal(await roll.writer.resumeNode('broker', tester), true)
  await until(() => t.broker.ready())
  assert.equal(await attempt(t, { identity: four, connect: { clientId: 'four' } }), 'connack 0')
})

test('a packet that tells why is no larger than the client takes', async () => {
  const identity = await roll.enroll('small')
  await drain({ serverReference: REFERENCE })
  await until(() => !t.broker.ready())
  const { connack } = await speak5(t, identity, {
    clientId: 'small',
    properties: { maximumPacketSize: 40 },
  })
  assert.deepEqual([connack?.reasonCode, connack?.properties], [
    0x9c,
    { serverReference: REFERENCE },
  ] as unknown[])
})

test('sessions end one after the other over the time that was ordered; a shorter one takes its place', async () => {
  const clients = await Promise.all(
    ['d1', 'd2', 'd3'].map(async id => mqttClient(t, id, await roll.enroll(id))),
  )
  await drain({ overMs: HOUR_MS })
  await until(() => !t.broker.ready())
  // The first one's turn comes with the first step: less than the whole time is left.
  await until(() => clients.some(client => !client.connected))
  assert.equal(clients.filter(client => client.connected).length, 2)
  assert.equal(await drain({ overMs: HOUR_MS }), false, 'the same order again is none')
  assert.equal(await drain({ overMs: 0 }), true)
  await Promise.all(clients.map(client => (client.connected ? gone(client) : null)))
  await drained()
})

test('what is half done is finished before the session ends', async () => {
  const identity = await roll.enroll('half')
  const client = await speak5(t, identity, { clientId: 'half' })
  const topic = 'devices/half/state'
  await client.ask({ cmd: 'publish', qos: 2, messageId: 7, topic, payload: 'once' }, 'pubrec')
  await drain()
  await until(() => !t.broker.ready())
  await client.ask({ cmd: 'pubrel', messageId: 7 }, 'pubcomp')
  await client.next('disconnect')
  const order = client.heard.map(({ cmd }) => cmd)
  assert.deepEqual(order, ['connack', 'pubrec', 'pubcomp', 'disconnect'])
})

test('its will is sent, what waits for it stays, and a restart changes nothing about it', async () => {
  const operator = await roll.enroll('b1', { groups: ['backend'] })
  const backend = await mqttClient(t, 'b1', operator, { clean: false })
  const identity = await roll.enroll('d1')
  await backend.subscribeAsync('devices/d1/will', { qos: 1 })
  const will = { topic: 'devices/d1/will', payload: Buffer.from('gone'), qos: 1 as const }
  const device = await mqttClient(t, 'd1', identity, { clean: false, will })
  await device.subscribeAsync('devices/d1/commands', { qos: 1 })
  await drain()
  await Promise.all([gone(device), gone(backend)])
  await drained()
  await t.close()

  t = await startTestBroker({ roll })
  assert.equal(t.broker.ready(), false)
  assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 3')
  await roll.writer.resumeNode('broker', tester)
  await until(() => t.broker.ready())
  const back = await returningClient(t, 'b1', operator)
  assert.equal(back.sessionPresent, true)
  await back.inbox.message('gone')
  await back.client.endAsync()
})

test('a name that there is not is answered with those that there are', async () => {
  await assert.rejects(
    roll.writer.drainNode('brokr', { overMs: 0, moved: false, serverReference: '' }, tester),
    { code: 'node_unknown', message: 'no broker is called brokr: there are broker' },
  )
  await assert.rejects(roll.writer.resumeNode('brokr', tester), { code: 'node_unknown' })
  assert.equal(await roll.writer.resumeNode('broker', tester), false)
})
