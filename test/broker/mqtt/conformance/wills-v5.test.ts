// Wills of MQTT 5: their delay, and DISCONNECT that has them sent, with packets over real TLS and a clock that the test sets.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Identity } from '../../../harness/authority.ts'
import { startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { type Mqtt5Client, speak5 } from '../../../harness/mqtt5-client.ts'

describe('a will of MQTT 5', () => {
  let t: TestBroker
  let device: Identity
  let backend: Mqtt5Client
  let offsetMs = 0
  beforeEach(async () => {
    offsetMs = 0
    t = await startTestBroker({ now: () => Date.now() + offsetMs })
    device = await t.roll.enroll('d1')
    backend = await speak5(t, await t.roll.enroll('b1', { groups: ['backend'] }), { clientId: 'b1' })
  })
  afterEach(async () => {
    await backend.cut()
    await t.close()
  })

  const comes = (connect: object = {}) => speak5(t, device, { clientId: 'd1', ...connect })
  const subscribe = (messageId: number, filter: string) => ({
    cmd: 'subscribe',
    messageId,
    subscriptions: [{ topic: filter, qos: 1, nl: false, rap: false, rh: 0 }],
  })
  const kept = (seconds: number) => ({ clean: false, properties: { sessionExpiryInterval: seconds } })

  test('[MQTT-3.1.3-9] a will waits for its delay, is not sent where the device is back, and ends with the session', async () => {
    await backend.ask(subscribe(1, 'devices/d1/will'), 'suback')
    const will = (payload: string, willDelayInterval: number) => ({
      will: {
        topic: 'devices/d1/will',
        payload: Buffer.from(payload),
        qos: 1,
        retain: false,
        properties: { willDelayInterval },
      },
    })
    const first = await comes({ ...kept(100), ...will('first', 60) })
    await first.cut()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    const second = await comes({ ...kept(100), ...will('second', 10) })
    assert.equal(second.connack?.sessionPresent, true)
    offsetMs += 61_000
    t.lines.length = 0
    await second.cut()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    offsetMs += 10_000
    assert.equal(String((await backend.next('publish')).payload), 'second', 'and not the first')
    backend.say({ cmd: 'puback', messageId: backend.of('publish')[0]!.messageId })
    const third = await comes({ ...kept(100), ...will('third', 10_000) })
    t.lines.length = 0
    await third.cut()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    const fourth = await comes({ clean: true })
    assert.equal(String((await backend.next('publish', 2)).payload), 'third', 'its session has ended')
    fourth.say({ cmd: 'disconnect', reasonCode: 0 })
    await fourth.closed()
  })

  test('whose payload is not the UTF-8 that it says is refused', async () => {
    const will = (payload: Buffer) => ({
      topic: 'devices/d1/will',
      payload,
      qos: 0,
      retain: false,
      properties: { payloadFormatIndicator: true },
    })
    const bad = await comes({ will: will(Buffer.from([0xff])) })
    assert.equal(bad.connack?.reasonCode, 0x99)
    assert.match(String(bad.connack?.properties?.['reasonString']), /^payload_format_invalid: /)
    const good = await comes({ will: will(Buffer.from('ü')) })
    assert.equal(good.connack?.reasonCode, 0)
    await good.leave()
  })

  test('DISCONNECT 0x04 has the will sent [MQTT-3.14.4-3]', async () => {
    await backend.ask(subscribe(1, 'devices/d1/will'), 'suback')
    const one = await comes({
      will: { topic: 'devices/d1/will', payload: Buffer.from('w'), qos: 0, retain: false },
    })
    await one.leave({ reasonCode: 0x04 })
    assert.equal(String((await backend.next('publish')).payload), 'w')
  })
})
