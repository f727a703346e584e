// What operators see of MQTT 5: the version of each connection, the Reason Code that it was ended with, and sessions that expired; in
// log, events, metrics and figures.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { createEventReader } from '../../../db/events/event-reader.ts'
import { startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { speak5 } from '../../harness/mqtt5-client.ts'
import { kept5, publish5, subscribe5 } from '../../harness/packets5.ts'
import { visit } from '../../harness/raw-client.ts'
import { until } from '../../harness/until.ts'

let t: TestBroker
let offsetMs = 0
beforeEach(async () => {
  offsetMs = 0
  t = await startTestBroker({ now: () => Date.now() + offsetMs })
})
afterEach(() => t.close())

test('a connection is told with its version, and its end with the code of its DISCONNECT', async () => {
  const device = await t.roll.enroll('d1')
  const first = await speak5(t, device, { clientId: 'd1' })
  const second = await speak5(t, device, { clientId: 'd1' })
  await first.closed()
  second.raw(Buffer.from([0xf0, 0]))
  await second.closed()
  const third = await visit(t, device, { clientId: 'd1' })
  third.cut()
  const lines = (msg: string) => t.lines.filter(line => line.msg === msg)
  await until(() => lines('disconnected').length === 3)
  assert.deepEqual(
    lines('connected').map(({ protocol }) => protocol),
    ['5', '5', '3.1.1'],
  )
  assert.deepEqual(
    lines('disconnected').map(({ code }) => code),
    ['0x8e', '0x82', undefined],
  )
  const metrics = await t.broker.metrics()
  for (const line of [
    'rollcall_mqtt_connects_total{protocol="5"} 2',
    'rollcall_mqtt_connects_total{protocol="3.1.1"} 1',
    'rollcall_mqtt_connects_total{protocol="3.1"} 0',
    'rollcall_mqtt_disconnects_sent_total{code="0x8e"} 1',
    'rollcall_mqtt_disconnects_sent_total{code="0x82"} 1',
  ])
    assert.ok(metrics.includes(line), line)
  const { after } = createEventReader(`${t.roll.data}/events.db`, () => {})
  await until(() => after(0, 100).length >= 6)
  assert.deepEqual(
    after(0, 100).map(({ kind, detail }) => [
      kind,
      kind === 'connected' ? detail?.['protocol'] : detail?.['code'],
    ]),
    [
      ['connected', '5'],
      ['connected', '5'],
      ['disconnected', '0x8e'],
      ['disconnected', '0x82'],
      ['connected', '3.1.1'],
      ['disconnected', undefined],
    ],
  )
})

test('a refused CONNECT is told with its version and code, and an end with the code of the DISCONNECT that came', async () => {
  const device = await t.roll.enroll('d1')
  assert.equal((await speak5(t, device, { clientId: 'other' })).connack?.reasonCode, 0x85)
  const will = { topic: 'devices/d1/gone', payload: Buffer.from('x'), qos: 1 as const, retain: false }
  const leaving = await speak5(t, device, { clientId: 'd1', will })
  leaving.say({ cmd: 'disconnect', reasonCode: 0x04 })
  await leaving.closed()
  const newer = await speak5(t, device, { clientId: 'd1' })
  const newest = await speak5(t, device, { clientId: 'd1' })
  await newer.closed()
  const counted = ['{protocol="5"} 1', '{protocol="3.1.1"} 0'].map(each => `rollcall_mqtt_sessions${each}`)
  await until(async () => {
    const metrics = await t.broker.metrics()
    return counted.every(line => metrics.includes(line))
  })
  const refusal = await t.line(line => line.msg === 'refused' && line['protocol'] === '5')
  assert.equal(refusal['code'], '0x85')
  const { after } = createEventReader(`${t.roll.data}/events.db`, () => {})
  const told = () => after(0, 100).filter(({ kind }) => kind !== 'connected')
  await until(() => told().length >= 3)
  assert.deepEqual(
    told().map(({ kind, reason, detail }) => {
      const { address: _, ...rest } = detail ?? {}
      return [kind, reason, rest]
    }),
    [
      ['refused', 'client_id_mismatch', { protocol: '5', code: '0x85' }],
      ['disconnected', 'closed', { protocol: '5', receivedCode: '0x04' }],
      ['disconnected', 'taken_over', { protocol: '5', code: '0x8e' }],
    ],
  )
  await newest.cut()
})

test('a message that is too large for its subscriber is counted as that, not as a full queue', async () => {
  const device = await t.roll.enroll('d1')
  const one = await speak5(t, device, { clientId: 'd1', properties: { maximumPacketSize: 60 } })
  await one.ask(subscribe5(1, 'devices/d1/t'), 'suback')
  await one.ask(publish5('devices/d1/t', 2, { payload: 'x'.repeat(100) }), 'puback')
  const metrics = await t.broker.metrics()
  assert.ok(metrics.includes('rollcall_messages_dropped_total{queue="too_large"} 1'))
  assert.ok(metrics.includes('rollcall_messages_dropped_total{queue="outbound"} 0'))
  await one.cut()
})

test('sessions whose expiry is over are counted', async () => {
  const backend = await speak5(t, await t.roll.enroll('b1', { groups: ['backend'] }), { clientId: 'b1' })
  const device = await speak5(t, await t.roll.enroll('d1'), { clientId: 'd1', ...kept5(30) })
  await device.leave()
  await t.line(line => line.msg === 'disconnected')
  offsetMs = 31_000
  await until(async () => (await t.broker.metrics()).includes('rollcall_sessions_expired_total 1'))
  await backend.ask(subscribe5(1, 'devices/none'), 'suback')
  await backend.leave()
})
