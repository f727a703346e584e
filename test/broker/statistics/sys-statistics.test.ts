// The figures below `$SYS/broker`: named as mosquitto names them, averages as mosquitto averages, written only where they changed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newTraffic } from '../../../broker/mqtt/traffic.ts'
import { createLoads, type SysStatistics, sysTexts } from '../../../broker/statistics/sys-statistics.ts'

const still: SysStatistics = {
  version: '0.1.0',
  uptimeMs: 12_999,
  connected: 3,
  connectedMax: 5,
  byProtocol: { '3.1': 0, '3.1.1': 1, '5': 2 },
  away: 2,
  subscriptions: 7,
  retained: 40,
  stored: 9,
  storedBytes: 900,
  sockets: 11,
  traffic: newTraffic(),
}

test('figures are texts as mosquitto writes them', () => {
  const texts = sysTexts(still)
  const below = (name: string) => texts.get(`$SYS/broker/${name}`)
  assert.equal(below('version'), 'rollcall version 0.1.0')
  assert.equal(below('uptime'), '12 seconds')
  assert.equal(below('clients/total'), '5')
  assert.equal(below('clients/connected'), '3')
  assert.equal(below('clients/disconnected'), '2')
  assert.equal(below('clients/maximum'), '5')
  assert.equal(below('messages/stored'), '9')
  assert.equal(below('retained messages/count'), String(40 + 51)) // these count themselves
})

test('versions of MQTT and Reason Codes have figures of their own', () => {
  const traffic = { ...newTraffic(), disconnectsSent: new Map([[0x8e, 4]]) }
  const texts = sysTexts({ ...still, traffic })
  const below = (name: string) => texts.get(`$SYS/broker/${name}`)
  assert.deepEqual(
    ['3.1', '3.1.1', '5'].map(protocol => below(`clients/connected/mqtt/${protocol}`)),
    ['0', '1', '2'],
  )
  assert.equal(below('disconnects/sent/0x8e'), '4')
  assert.equal(below('retained messages/count'), String(40 + 52))
})

test('a steady minute is the average of one, and older minutes weigh less', () => {
  const loads = createLoads(still)
  let texts = new Map<string, string>()
  for (let second = 10; second <= 600; second += 10) {
    const traffic = { ...newTraffic(), messagesReceived: 5 * second }
    texts = loads({ ...still, sockets: still.sockets, traffic }, 10_000)
  }
  const received = (minutes: number) => Number(texts.get(`$SYS/broker/load/publish/received/${minutes}min`))
  assert.ok(Math.abs(received(1) - 300) < 0.1)
  assert.ok(Math.abs(received(5) - 300 * (1 - Math.exp(-2))) < 0.1)
  assert.ok(Math.abs(received(15) - 300 * (1 - Math.exp(-600 / 900))) < 0.1)
  assert.equal(texts.get('$SYS/broker/load/sockets/1min'), '0.00')
})

test('no time gives no load', () => {
  const texts = createLoads(still)({ ...still, sockets: 99 }, 0)
  assert.equal(texts.get('$SYS/broker/load/sockets/1min'), '0.00')
})
