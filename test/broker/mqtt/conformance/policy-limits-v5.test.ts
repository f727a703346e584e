// Limits of policies: CONNACK announces them, what goes beyond gets the code that the standard names, and a change of them shortens
// sessions that are there.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { PolicyDocument } from '../../../../policy/document.ts'
import type { Identity } from '../../../harness/authority.ts'
import { startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { speak5 } from '../../../harness/mqtt5-client.ts'
import { kept5, publish5 } from '../../../harness/packets5.ts'
import { visit } from '../../../harness/raw-client.ts'
import { tester } from '../../../harness/roll.ts'

const topic = 'devices/d1/x'
const NEVER = 0xffff_ffff

describe('a policy with limits', () => {
  let t: TestBroker
  let device: Identity
  let clock = 0
  beforeEach(async () => {
    clock = Math.floor(Date.now() / 1_000) * 1_000
    t = await startTestBroker({ now: () => clock })
    device = await t.roll.enroll('d1')
  })
  afterEach(() => t.close())

  /** Gives the epoch of the attachment, the second of two changes. */
  async function limited(policy: Partial<PolicyDocument>): Promise<number> {
    await t.roll.writer.putPolicy('limited', { name: 'limited', statements: [], ...policy }, tester)
    return t.roll.writer.attachPolicy('limited', 'device', 'd1', tester)
  }
  const comes = (connect: object = {}) => speak5(t, device, { clientId: 'd1', ...connect })
  const will = (qos: number, retain: boolean) => ({
    will: { topic, payload: Buffer.from('w'), qos, retain },
  })

  test('bounds the QoS of publishes and wills', async () => {
    await limited({ limits: { qosMax: 1 } })
    const one = await comes()
    assert.equal(one.connack?.properties?.['maximumQoS'], 1)
    assert.equal((await one.ask(publish5(topic, 1), 'puback')).reasonCode, 0x10)
    assert.equal((await one.ask(publish5(topic, 2, { qos: 2 }), 'disconnect')).reasonCode, 0x9b)
    await one.closed()
    assert.equal((await comes(will(2, false))).connack?.reasonCode, 0x9b)
    const willing = await comes(will(1, true))
    assert.equal(willing.connack?.reasonCode, 0)
    await willing.leave()
  })

  test('of which the least counts, and which leaves SUBSCRIBE alone [MQTT-3.2.2-10]', async () => {
    await limited({ limits: { qosMax: 1 } })
    await t.roll.writer.putPolicy('less', { name: 'less', limits: { qosMax: 0 }, statements: [] }, tester)
    await t.roll.writer.attachPolicy('less', 'everyone', '', tester)
    const one = await comes()
    assert.equal(one.connack?.properties?.['maximumQoS'], 0)
    const subscriptions = [{ topic, qos: 2, nl: false, rap: false, rh: 0 }]
    const { granted } = await one.ask({ cmd: 'subscribe', messageId: 1, subscriptions }, 'suback')
    assert.deepEqual([...granted!], [2])
    await one.leave()
  })

  test('or without the right to retain', async () => {
    await limited({ statements: [{ effect: 'deny', actions: ['retain'], topics: ['#'] }] })
    const one = await comes()
    const { retainAvailable, maximumQoS } = one.connack!.properties!
    assert.deepEqual([retainAvailable, maximumQoS], [false, undefined])
    assert.equal((await one.ask(publish5(topic, 1, { retain: true }), 'disconnect')).reasonCode, 0x9a)
    await one.closed()
    assert.equal((await comes(will(0, true))).connack?.reasonCode, 0x9a)
  })

  test('answers as any refusal what was not announced when the connection began', async () => {
    const one = await comes()
    t.lines.length = 0
    const epoch = await limited({ limits: { qosMax: 0 } })
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch)
    await one.ask({ cmd: 'pingreq' }, 'pingresp')
    assert.equal((await one.ask(publish5(topic, 1), 'puback')).reasonCode, 0x87)
    assert.equal(one.isClosed(), false)
    await one.leave()
  })

  const presentAfter = async (ms: number) => {
    clock += ms
    const back = await comes(kept5(NEVER))
    const is = back.connack?.sessionPresent
    await back.leave()
    await t.line(line => line.msg === 'disconnected')
    t.lines.length = 0
    return is
  }

  test('bounds how long a session outlives its connection, also where DISCONNECT asks for more', async () => {
    await limited({ limits: { sessionExpiryMaxSeconds: 60 } })
    for (const asked of [NEVER, 61]) {
      const one = await comes(kept5(asked, { clean: true }))
      assert.equal(one.connack?.properties?.['sessionExpiryInterval'], 60)
      await one.leave({ properties: { sessionExpiryInterval: NEVER } })
      await t.line(line => line.msg === 'disconnected')
      t.lines.length = 0
      assert.equal(await presentAfter(59_999), true)
      assert.equal(await presentAfter(60_000), false)
    }
    const less = await comes(kept5(30, { clean: true }))
    assert.equal(less.connack?.properties?.['sessionExpiryInterval'], undefined)
    await less.leave()
  })

  test('ends every session with its connection where it says 0', async () => {
    await limited({ limits: { sessionExpiryMaxSeconds: 0 } })
    const one = await comes(kept5(100, { clean: true }))
    assert.equal(one.connack?.properties?.['sessionExpiryInterval'], 0)
    await one.leave({ properties: { sessionExpiryInterval: 100 } })
    await t.line(line => line.msg === 'disconnected')
    assert.equal(await presentAfter(0), false)
  })

  test('bounds the sessions of 3.1.1, which know no expiry', async () => {
    await limited({ limits: { sessionExpiryMaxSeconds: 60 } })
    for (const [ms, present] of [
      [59_999, true],
      [60_000, false],
    ] as const) {
      const one = await visit(t, device, { clientId: 'd1' })
      one.cut()
      await t.line(line => line.msg === 'disconnected')
      t.lines.length = 0
      clock += ms
      const back = await visit(t, device, { clientId: 'd1' })
      assert.equal(back.present, present)
      back.cut()
      await t.line(line => line.msg === 'disconnected')
      t.lines.length = 0
    }
  })

  test('that comes later shortens the session of a device that is there, and of one that is away', async () => {
    for (const isAway of [false, true]) {
      await t.roll.writer.putPolicy('limited', { name: 'limited', statements: [] }, tester)
      const one = await comes(kept5(NEVER, { clean: true }))
      assert.equal(one.connack?.properties?.['sessionExpiryInterval'], undefined)
      if (isAway) {
        await one.leave()
        await t.line(line => line.msg === 'disconnected')
      }
      clock += 1_000_000
      t.lines.length = 0
      const epoch = await limited({ limits: { sessionExpiryMaxSeconds: 10 } })
      await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch)
      if (!isAway) {
        await one.leave()
        await t.line(line => line.msg === 'disconnected')
      }
      t.lines.length = 0
      clock += 10_000
      const back = await comes(kept5(NEVER))
      assert.equal(back.connack?.sessionPresent, false, isAway ? 'away' : 'there')
      await back.leave()
      await t.line(line => line.msg === 'disconnected')
      await t.roll.writer.detachPolicy('limited', 'device', 'd1', tester)
      t.lines.length = 0
    }
  })
})
