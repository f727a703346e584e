// What the broker keeps of one device has an end, over all of its connections and after it has gone.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type { Identity } from '../../harness/authority.ts'
import { type Listening, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { type ForkedBroker, forkBroker } from '../../harness/fork.ts'
import { acknowledgement, publishQos2, visit } from '../../harness/raw-client.ts'
import { createRoll, type Roll } from '../../harness/roll.ts'

const MIB = 1_048_576
const PUBREC = 5
const PUBREL = 6
const PUBCOMP = 7
const MESSAGES = 300
const PAYLOAD_BYTES = 200_000

/** The device is not slowed down: what is kept of it is in question, not how fast it sends. */
const unhindered = { deviceBytesPerSecond: 1_000_000_000, deviceBytesBurst: 1_000_000_000 }

describe('messages of QoS 2 that are never released', () => {
  let roll: Roll
  let broker: ForkedBroker
  let at: Listening
  before(async () => {
    roll = await createRoll()
    broker = await forkBroker(roll, { settings: unhindered })
    at = { broker, roll }
  })
  after(async () => {
    await broker.close()
    await roll.close()
  })

  for (const clean of [true, false]) {
    test(`cost their identifiers and no payload, ${clean ? 'clean' : 'kept'} session`, async () => {
      const id = clean ? 'd1' : 'd2'
      const identity = await roll.enroll(id)
      const device = await visit(at, identity, { clientId: id, clean })
      const payload = 'x'.repeat(PAYLOAD_BYTES)
      const send = async (from: number, to: number) => {
        for (let messageId = from; messageId <= to; messageId += 1)
          await device.ask(publishQos2(`devices/${id}/x`, messageId, payload), PUBREC)
        return (await broker.measure()).bytes
      }
      const few = await send(1, 50)
      const grown = (await send(51, MESSAGES)) - few
      assert.ok(grown < MIB, `${MESSAGES - 50} messages of ${PAYLOAD_BYTES} bytes more hold ${grown} bytes`)
      device.cut()
    })
  }
})

describe('the window of QoS 2', () => {
  let t: TestBroker
  let identity: Identity
  beforeEach(async () => {
    t = await startTestBroker({ settings: { inflightInboundMax: 3 } })
    identity = await t.roll.enroll('d1')
  })
  afterEach(() => t.close())

  const publish = (messageId: number) => publishQos2('devices/d1/x', messageId, 'x')

  test('is that of the device, not of each of its connections', async () => {
    const first = await visit(t, identity, { clientId: 'd1' })
    for (const messageId of [1, 2]) await first.ask(publish(messageId), PUBREC)
    first.cut()
    const second = await visit(t, identity, { clientId: 'd1' })
    await second.ask(publish(3), PUBREC)
    assert.equal(String(await second.ask(publish(4), PUBREC)), 'closed')
    await t.line(line => line.msg === 'cut' && line.reason === 'quota_exceeded' && line.deviceId === 'd1')
    const third = await visit(t, identity, { clientId: 'd1' })
    assert.equal((await third.ask(publish(2), PUBREC)).readUInt16BE(2), 2, 'a known one comes again')
    await third.ask(acknowledgement(PUBREL, 1), PUBCOMP)
    assert.equal((await third.ask(publish(4), PUBREC)).readUInt16BE(2), 4)
    third.cut()
  })

  test('is empty after a clean session', async () => {
    const kept = await visit(t, identity, { clientId: 'd1' })
    for (const messageId of [1, 2, 3]) await kept.ask(publish(messageId), PUBREC)
    kept.cut()
    const clean = await visit(t, identity, { clientId: 'd1', clean: true })
    for (const messageId of [4, 5, 6]) await clean.ask(publish(messageId), PUBREC)
    clean.cut()
  })
})
