// A device that comes back at once after each refusal, as many clients do: it waits, costs the others nothing, and is in as soon as it
// may be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attempt, openTls, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { ended } from '../../../harness/raw-client.ts'
import { tester } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'

for (const gates of [0, 1]) {
  const on = (name: string, refusalDelayMs: number, work: (t: TestBroker) => Promise<void>) =>
    test(`${gates} gates: ${name}`, async () => {
      const t = await startTestBroker({ settings: { gates, refusalBurst: 2, refusalDelayMs } })
      try {
        await work(t)
      } finally {
        await t.close()
      }
    })
  const delayed = async (t: TestBroker) =>
    Number(/^rollcall_refusals_delayed_total (\d+)/m.exec(await t.broker.metrics())?.[1])

  on('a device refused again and again gets its answer, then waits for its end', 1_500, async t => {
    const identity = await t.roll.enroll('d1')
    const other = await t.roll.enroll('d2')
    await t.roll.writer.setDeviceState('d1', 'suspended', tester)
    const again = () => attempt(t, { identity, connect: { clientId: 'd1' } })
    assert.deepEqual([await again(), await again()], ['connack 5', 'connack 5'])
    const began = performance.now()
    const waiting = again()
    assert.equal(await attempt(t, { identity: other, connect: { clientId: 'd2' } }), 'connack 0')
    const another = performance.now() - began
    assert.equal(await waiting, 'cut')
    const took = performance.now() - began
    assert.ok(took > 1_400, `${took} ms`)
    assert.ok(another < took, `another device took ${another} of ${took} ms`)
    assert.equal(await delayed(t), 1)
    assert.match(await t.broker.metrics(), /rollcall_refusals_total\{reason="device_suspended"\} 3/)
  })

  on('a stranger that comes again and again waits, too', 1_500, async t => {
    const identity = await t.roll.issuing.issue({ name: 'nobody' })
    for (let visit = 0; visit < 2; visit += 1) assert.equal(await attempt(t, { identity }), 'cut')
    const began = performance.now()
    assert.equal(await attempt(t, { identity }), 'cut')
    assert.ok(performance.now() - began > 1_400)
  })

  on('a device that may enter again is in at once, and waits for nothing', 60_000, async t => {
    const identity = await t.roll.enroll('d1')
    await t.roll.writer.setDeviceState('d1', 'suspended', tester)
    const again = () => attempt(t, { identity, connect: { clientId: 'd1' } })
    assert.deepEqual([await again(), await again()], ['connack 5', 'connack 5'])
    const waiting = await openTls(t, { identity })
    waiting.on('error', () => {})
    await until(async () => (await delayed(t)) === 1)
    await t.roll.writer.setDeviceState('d1', 'active', tester)
    await ended(waiting)
    assert.equal(await again(), 'connack 0')
    await t.roll.writer.setDeviceState('d1', 'suspended', tester)
    assert.deepEqual([await again(), await again()], ['connack 5', 'connack 5'], 'and it starts anew')
  })

  on('of many at once two wait, and the others are closed; a stop waits for none', 60_000, async t => {
    const identity = await t.roll.enroll('d1')
    await t.roll.writer.revokeCertificate(identity.fingerprint, 'unspecified', tester)
    const again = () => attempt(t, { identity, connect: { clientId: 'd1' } })
    assert.deepEqual([await again(), await again()], ['connack 5', 'connack 5'])
    const sockets = await Promise.all(Array.from({ length: 6 }, () => openTls(t, { identity })))
    let closed = 0
    const all = sockets.map(socket => ended(socket).then(() => (closed += 1)))
    await until(async () => closed === 4 && (await delayed(t)) === 6)
    await t.broker.close()
    await Promise.all(all)
  })
}
