// What nodes tell each other of themselves: read as it was told, nothing of what is something else, and nothing that could be another topic.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newTraffic } from '../../../broker/mqtt/traffic.ts'
import { decodeReport, encodeReport, type NodeReport } from '../../../broker/statistics/node-statistics.ts'

const report: NodeReport = {
  ...{ from: 7, name: 'berlin-1', everyMs: 10_000 },
  statistics: {
    ...{ version: '0.1.0', uptimeMs: 12_345.5, connected: 3, connectedMax: 5, away: 2, subscriptions: 7 },
    byProtocol: { '3.1': 0, '3.1.1': 1, '5': 2 },
    ...{ retained: 6, retainedBytes: 600, queued: 3, queuedBytes: 300, sockets: 11 },
    traffic: { ...newTraffic(), connects: 4, disconnectsSent: new Map([[0x8e, 4]]) },
    loads: new Map([['load/messages/received/15min', 0.25]]),
  },
}

/** The bytes of a report with another value at a place, or with none. */
function changed(place: string, value?: unknown): Buffer {
  const told = JSON.parse(encodeReport(report).toString())
  const names = place.split('.')
  const last = names.pop()!
  names.reduce((object, name) => object[name], told)[last] = value
  return Buffer.from(JSON.stringify(told))
}

test('what a node tells is read as it was told', () => {
  assert.deepEqual(decodeReport(encodeReport(report)), report)
})

test('what a node of another version tells besides is left out, and what it does not tell is 0', () => {
  assert.deepEqual(decodeReport(changed('statistics.later', 5)), report)
  assert.equal(decodeReport(changed('statistics.subscriptions'))?.statistics.subscriptions, 0)
  assert.equal(decodeReport(changed('statistics.traffic.connects'))?.statistics.traffic.connects, 0)
})

test('an interval is no longer than the longest that there is', () => {
  assert.equal(decodeReport(changed('everyMs', 1e15))?.everyMs, 3_600_000)
})

for (const [what, bytes] of [
  ['no JSON', Buffer.from('{')],
  ['null', Buffer.from('null')],
  ['a list', Buffer.from('[]')],
  ['what is too long', changed('more', 'x'.repeat(65_536))],
  ['a name that is empty', changed('name', '')],
  ['a name that is too long', changed('name', 'x'.repeat(257))],
  ['a count below 0', changed('statistics.connected', -1)],
  ['a count that is a text', changed('statistics.connected', '1')],
  ['a count of a version that is a text', changed('statistics.byProtocol', { 5: '1' })],
  ['one without traffic', changed('statistics.traffic')],
  ['a code beyond an octet', changed('statistics.traffic.disconnectsSent', [[256, 1]])],
  ['codes that are no pairs', changed('statistics.traffic.disconnectsSent', [1])],
  ['a load of another name', changed('statistics.loads', [['load/+/1min', 1]])],
  ['more loads than there are', changed('statistics.loads', Array(101).fill(['load/sockets/1min', 1]))],
] as const)
  test(`${what} is no report`, () => {
    assert.equal(decodeReport(bytes), null)
  })
