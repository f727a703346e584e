// The figures below `$SYS/broker`: named as mosquitto names them, averages as mosquitto averages; and those of several nodes in one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newTraffic } from '../../../broker/mqtt/traffic.ts'
import {
  createLoads,
  type NodeStatistics,
  sysTexts,
  totalOf,
} from '../../../broker/statistics/sys-statistics.ts'

const still: NodeStatistics = {
  version: '0.1.0',
  uptimeMs: 12_999,
  connected: 3,
  connectedMax: 5,
  byProtocol: { '3.1': 0, '3.1.1': 1, '5': 2 },
  away: 2,
  subscriptions: 7,
  ...{ retained: 6, retainedBytes: 600, queued: 3, queuedBytes: 300 },
  sockets: 11,
  traffic: newTraffic(),
  loads: new Map([['load/sockets/1min', 1.5]]),
}

test('figures are texts as mosquitto writes them', () => {
  const texts = sysTexts(still)
  const below = (name: string) => texts.get(name)
  assert.equal(below('version'), 'rollcall version 0.1.0')
  assert.equal(below('uptime'), '12 seconds')
  assert.equal(below('clients/total'), '5')
  assert.equal(below('clients/connected'), '3')
  assert.equal(below('clients/disconnected'), '2')
  assert.equal(below('clients/maximum'), '5')
  assert.equal(below('messages/stored'), '9')
  assert.equal(below('store/messages/bytes'), '900')
  assert.equal(below('load/sockets/1min'), '1.50')
})

test('versions of MQTT and Reason Codes have figures of their own', () => {
  const traffic = { ...newTraffic(), disconnectsSent: new Map([[0x8e, 4]]) }
  const texts = sysTexts({ ...still, traffic })
  const below = (name: string) => texts.get(name)
  assert.deepEqual(
    ['3.1', '3.1.1', '5'].map(protocol => below(`clients/connected/mqtt/${protocol}`)),
    ['0', '1', '2'],
  )
  assert.equal(below('disconnects/sent/0x8e'), '4')
})

test('a steady minute is the average of one, and older minutes weigh less', () => {
  const loads = createLoads(still)
  let averages: ReadonlyMap<string, number> = new Map()
  for (let second = 10; second <= 600; second += 10) {
    const traffic = { ...newTraffic(), messagesReceived: 5 * second }
    averages = loads({ ...still, sockets: still.sockets, traffic }, 10_000)
  }
  const received = (minutes: number) => averages.get(`load/publish/received/${minutes}min`)!
  assert.ok(Math.abs(received(1) - 300) < 0.1)
  assert.ok(Math.abs(received(5) - 300 * (1 - Math.exp(-2))) < 0.1)
  assert.ok(Math.abs(received(15) - 300 * (1 - Math.exp(-600 / 900))) < 0.1)
  assert.equal(averages.get('load/sockets/1min'), 0)
})

test('no time gives no load', () => {
  const averages = createLoads(still)({ ...still, sockets: 99 }, 0)
  assert.equal(averages.get('load/sockets/1min'), 0)
})

test('several nodes are one: what each has is added up, what all retain counts once', () => {
  const traffic = { ...newTraffic(), connects: 2, disconnectsSent: new Map([[0x8e, 4]]) }
  const other = { ...still, version: '0.2.0', uptimeMs: 60_000, retained: 7, traffic }
  const total = totalOf([{ ...still, traffic }, other])
  const { connected, away, subscriptions, queued, sockets, retained, uptimeMs, version } = total
  assert.deepEqual([connected, away, subscriptions, queued, sockets], [6, 4, 14, 6, 22])
  assert.deepEqual([retained, uptimeMs, version], [6, 60_000, '0.1.0, 0.2.0'])
  assert.deepEqual(total.byProtocol, { '3.1': 0, '3.1.1': 2, '5': 4 })
  assert.deepEqual([total.traffic.connects, total.traffic.disconnectsSent.get(0x8e)], [4, 8])
  assert.equal(total.loads.get('load/sockets/1min'), 3)
  assert.deepEqual(totalOf([still]), still)
})
