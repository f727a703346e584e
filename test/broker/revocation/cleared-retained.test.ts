// Clearing a retained message: of its publisher alone where that is named, nothing that was published after the operator asked, and for good.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mqttClient, returningClient, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { tester } from '../../harness/roll.ts'

const topic = 'devices/d1/state'

async function clear(t: TestBroker, deviceId: string | null): Promise<void> {
  const { epoch } = await t.roll.writer.clearRetained([{ topic, deviceId, publisher: null }], tester)
  await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch)
}

test('clears what was published before, by the device that is named, and reconciles nothing else', async () => {
  let t = await startTestBroker()
  const { roll } = t
  try {
    const identity = await roll.enroll('d1')
    const shown = async () => {
      const { client, inbox } = await returningClient(t, 'd1', identity)
      await client.subscribeAsync(topic, { qos: 1 })
      await client.publishAsync(topic, 'end', { qos: 1 })
      await inbox.message('end')
      await client.endAsync()
      return inbox.all.filter(({ retain }) => retain).map(({ payload }) => payload)
    }
    const publish = async (payload: string) => {
      const device = await mqttClient(t, 'd1', identity)
      await device.publishAsync(topic, payload, { qos: 1, retain: true })
      await device.endAsync()
    }
    await publish('first')
    await clear(t, 'another')
    assert.deepEqual(await shown(), ['first'])
    await clear(t, 'd1')
    assert.deepEqual(await shown(), [])
    await publish('second')
    await t.broker.close()

    // What was asked while it did not run, it does at its next start: of what it held then.
    await roll.writer.clearRetained([{ topic, deviceId: null, publisher: null }], tester)
    t = await startTestBroker({ roll })
    assert.deepEqual(await shown(), [])
    await publish('third')
    await t.broker.close()
    t = await startTestBroker({ roll })
    assert.deepEqual(await shown(), ['third'])
  } finally {
    await t.close()
  }
})
