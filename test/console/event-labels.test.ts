// How the live feed and a device's page tell an event in words.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FleetEvent } from '../../client/events.ts'
import { describeEvent } from '../../console/labels/events.ts'

const told = (reason: string | null, detail: FleetEvent['detail']) =>
  describeEvent({
    seq: 1,
    at: '2026-11-22T09:00:00.000Z',
    kind: 'disconnected',
    deviceId: 'pump-1',
    fingerprint: null,
    node: 'n1',
    reason,
    detail,
  })

test('an event is told with the version of MQTT and the Reason Codes either way', () => {
  const address = '192.0.2.7'
  assert.equal(told(null, { address, protocol: '5' }), 'MQTT 5, from 192.0.2.7, at n1')
  assert.equal(
    told('device_suspended', { address, protocol: '5', code: '0x98' }),
    'The device is suspended, told 0x98, MQTT 5, from 192.0.2.7, at n1',
  )
  assert.equal(
    told('closed', { address, protocol: '5', receivedCode: '0x04' }),
    'The device closed it, DISCONNECT 0x04 came from it, MQTT 5, from 192.0.2.7, at n1',
  )
  assert.equal(
    told('taken_over', { address, protocol: '5', code: '0x8e' }),
    'Another connection of the device took its place, told 0x8e, MQTT 5, from 192.0.2.7, at n1',
  )
  assert.equal(
    told('connection_failed', { address, protocol: '5', code: '0x82' }),
    'The broker ended it, told 0x82, MQTT 5, from 192.0.2.7, at n1',
  )
  assert.equal(
    told('connection_failed', { address, protocol: '3.1.1' }),
    'The connection broke, MQTT 3.1.1, from 192.0.2.7, at n1',
  )
})
