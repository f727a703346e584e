// A session that an operator ends: its device is told why, keeps its right and may return; what is stored of the session stays, or goes
// where that was asked for, also if the broker did not run then.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import {
  attempt,
  mqttClient,
  returningClient,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { gone, openInbox } from '../../harness/inbox.ts'
import { speak5 } from '../../harness/mqtt5-client.ts'
import { createRoll, tester } from '../../harness/roll.ts'

describe('a kicked session', () => {
  let t: TestBroker
  beforeEach(async () => {
    t = await startTestBroker()
  })
  afterEach(() => t.close())

  async function kick(clear: boolean): Promise<number> {
    const epoch = await t.roll.writer.kickSession('d1', { clear }, tester)
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch)
    return epoch
  }
  const sessionsCut = (epoch: number) =>
    t.roll.registry.sqlite
      .prepare('SELECT sessions_cut FROM acknowledgements WHERE epoch = ?')
      .pluck()
      .get(epoch)
  const backendClient = async () => mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))

  /** Subscribes, and leaves with a message of QoS 1 waiting. */
  async function leaveWithMessage(backend: MqttClient, device: MqttClient): Promise<void> {
    await device.subscribeAsync('devices/d1/commands', { qos: 1 })
    await device.publishAsync('devices/d1/state', 'retained', { qos: 1, retain: true })
    await device.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
    await backend.publishAsync('devices/d1/commands', 'waiting', { qos: 1 })
  }

  test('by MQTT 5 is told an administrative action and why, and its device is admitted again at once', async () => {
    const identity = await t.roll.enroll('d1')
    const device = await speak5(t, identity, { clientId: 'd1' })
    await kick(false)
    const last = await device.next('disconnect')
    assert.equal(last.reasonCode, 0x98)
    assert.match(String(last.properties?.['reasonString']), /^session_kicked: Let the device connect again/)
    await device.closed()
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 0')
    assert.equal((await t.line(line => line.msg === 'disconnected'))['why'], 'session_kicked')
  })

  test('sends its will, and is counted in the acknowledgement', async () => {
    const backend = await backendClient()
    const inbox = openInbox(backend)
    await backend.subscribeAsync('devices/d1/will', { qos: 1 })
    const will = { topic: 'devices/d1/will', payload: Buffer.from('gone'), qos: 1 as const }
    const device = await mqttClient(t, 'd1', await t.roll.enroll('d1'), { will })
    await kick(false)
    await gone(device)
    await inbox.message('gone')
    await backend.endAsync()
  })

  test('keeps what is stored of it unless that is cleared; then retained messages alone stay', async () => {
    const backend = await backendClient()
    const identity = await t.roll.enroll('d1')
    await leaveWithMessage(backend, await mqttClient(t, 'd1', identity, { clean: false }))
    await kick(false)
    const kept = await returningClient(t, 'd1', identity)
    assert.equal(kept.sessionPresent, true)
    await kept.inbox.message('waiting')
    await kept.client.endAsync()

    await backend.publishAsync('devices/d1/commands', 'more', { qos: 1 })
    await kick(true)
    const cleared = await returningClient(t, 'd1', identity)
    assert.equal(cleared.sessionPresent, false)
    await cleared.client.subscribeAsync('devices/d1/state', { qos: 1 })
    await cleared.inbox.message('retained')
    assert.deepEqual(
      cleared.inbox.all.map(({ payload }) => payload),
      ['retained'],
    )
    await cleared.client.endAsync()
    await backend.endAsync()
  })

  test('that is connected is ended and cleared in one', async () => {
    const identity = await t.roll.enroll('d1')
    const device = await mqttClient(t, 'd1', identity, { clean: false })
    await device.subscribeAsync('devices/d1/commands', { qos: 1 })
    const epoch = await kick(true)
    await gone(device)
    // Written with the next notes of the broker.
    await t.broker.close()
    assert.equal(sessionsCut(epoch), 1)
    const again = await startTestBroker({ roll: t.roll })
    const back = await returningClient(again, 'd1', identity)
    assert.equal(back.sessionPresent, false)
    await back.client.endAsync()
    await again.close()
  })
})

test('a stored session that is cleared while no broker runs is gone at the next start, and one made later stays', async () => {
  const roll = await createRoll()
  const identity = await roll.enroll('d1')
  const visit = async () => {
    const t = await startTestBroker({ roll })
    const { client, sessionPresent } = await returningClient(t, 'd1', identity)
    await client.subscribeAsync('devices/d1/commands', { qos: 1 })
    await client.endAsync()
    await t.close()
    return sessionPresent
  }
  try {
    assert.deepEqual([await visit(), await visit()], [false, true])
    await roll.writer.kickSession('d1', { clear: true }, tester)
    assert.deepEqual([await visit(), await visit()], [false, true])
  } finally {
    await roll.close()
  }
})
