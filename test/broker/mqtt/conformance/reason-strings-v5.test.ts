// No packet is larger than its receiver takes: a Reason String is left out where it does not fit (MQTT 5 §3.9.2.1.2, §3.14.2.2.3).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestBroker } from '../../../harness/broker.ts'
import { speak5 } from '../../../harness/mqtt5-client.ts'
import { publish5, subscribe5 } from '../../../harness/packets5.ts'
import { tester } from '../../../harness/roll.ts'

for (const [maximumPacketSize, isTold] of [
  [20, false],
  [1_000, true],
] as const)
  test(`[MQTT-3.9.2-1] a client that takes ${maximumPacketSize} bytes is ${isTold ? '' : 'not '}told in words`, async context => {
    const t = await startTestBroker()
    context.after(() => t.close())
    const device = await t.roll.enroll('d1')
    const one = await speak5(t, device, { clientId: 'd1', properties: { maximumPacketSize } })
    const suback = await one.ask(subscribe5(1, 'devices/other'), 'suback')
    assert.deepEqual([...suback.granted!], [0x87])
    const puback = await one.ask(publish5('devices/other', 2), 'puback')
    assert.equal(puback.reasonCode, 0x87)
    await t.roll.writer.revokeCertificate(device.fingerprint, 'keyCompromise', tester)
    const disconnect = await one.next('disconnect')
    assert.equal(disconnect.reasonCode, 0x98)
    await one.closed()
    for (const { properties } of [suback, puback, disconnect])
      assert.equal(properties?.['reasonString'] !== undefined, isTold)
    const sizes = one.frames.slice(1).map(({ bytes }) => bytes.length)
    assert.ok(
      sizes.every(size => size <= maximumPacketSize),
      String(sizes),
    )
  })
