// Messages of one topic and QoS reach a device in the order they were sent, also while it comes back for what waited
// [MQTT-4.6.0-6].
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../../../harness/authority.ts'
import {
  connectPacket,
  firstBytes,
  mqttClient,
  openTls,
  returningClient,
  startTestBroker,
  type TestBroker,
} from '../../../harness/broker.ts'
import type { Inbox } from '../../../harness/inbox.ts'
import { packetsOf, publishPacket, rawSession, subscribePacket } from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

const DEADLINE_MS = 60_000

describe('a device that comes back while messages go on coming', () => {
  let t: TestBroker
  let backend: MqttClient
  let device: Identity
  let stopped = false
  let sent = 0

  beforeEach(async () => {
    stopped = false
    sent = 0
    t = await startTestBroker({ settings: { offlineMessagesMax: 100_000, offlineBytesMax: 100_000_000 } })
    backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
    device = await t.roll.enroll('d1')
  })
  afterEach(async () => {
    stopped = true
    await backend.endAsync(true)
    await t.close()
  })

  async function leaveWaiting(filter: string, qos: 1 | 2): Promise<void> {
    const leaver = await mqttClient(t, 'd1', device, { clean: false })
    await leaver.subscribeAsync(filter, { qos })
    await leaver.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'd1')
  }

  async function send(qos: 1 | 2, count: number): Promise<void> {
    const last = sent + count
    while (sent < last) await backend.publishAsync('devices/d1/commands', String(sent++), { qos })
  }

  /** One after the other, until `stopped`. */
  async function goOnSending(qos: 1 | 2): Promise<void> {
    while (!stopped) await send(qos, 1)
  }

  /** Sends no more, and finds that all of it came, once and as it was sent. */
  async function assertInOrder(inbox: Inbox, going: Promise<void>): Promise<void> {
    stopped = true
    await going
    await until(() => inbox.all.length >= sent, DEADLINE_MS)
    assert.deepEqual(
      inbox.all.map(({ payload }) => payload),
      Array.from({ length: sent }, (_, index) => String(index)),
    )
  }

  for (const qos of [1, 2] as const)
    for (const filter of ['devices/d1/commands', '$share/crew/devices/d1/commands'])
      test(`hears ${filter} at QoS ${qos} in order: what waited, then what comes`, async () => {
        await leaveWaiting(filter, qos)
        await send(qos, 300)
        const going = goOnSending(qos)
        const { client, inbox } = await returningClient(t, 'd1', device)
        await until(() => inbox.all.length > 500, DEADLINE_MS)
        await assertInOrder(inbox, going)
        await client.endAsync(true)
      })

  test('gets again what it had not acknowledged, before anything that comes', async () => {
    await leaveWaiting('devices/d1/commands', 1)
    const mute = packetsOf(await rawSession(t, device, { clientId: 'd1', clean: false }))
    await send(1, 50)
    await until(() => mute.length === 50, DEADLINE_MS)
    const going = goOnSending(1)
    const { client, inbox } = await returningClient(t, 'd1', device)
    await until(() => inbox.all.length > 200, DEADLINE_MS)
    await assertInOrder(inbox, going)
    await client.endAsync(true)
  })

  test('is in as soon as it has its CONNACK, however slowly it takes what waited', async () => {
    await leaveWaiting('devices/d1/commands', 1)
    // More than the sockets between them take in.
    for (let index = 0; index < 120; index += 1)
      await backend.publishAsync('devices/d1/commands', Buffer.alloc(200_000), { qos: 1 })
    const heard = await returningTo('devices/d1/said')
    const socket = await openTls(t, { identity: device })
    const connected = t.line(line => line.msg === 'connected' && line.deviceId === 'd1')
    // What comes behind CONNECT is handled although nothing of what waited was read.
    socket.write(
      Buffer.concat([
        connectPacket({ clientId: 'd1', clean: false }),
        publishPacket('devices/d1/said', 'here'),
        subscribePacket(1, ['devices/d1/more']),
      ]),
    )
    assert.equal((await firstBytes(socket))?.[3], 0)
    socket.pause()
    await connected
    await heard('here')
    socket.destroy()
  })

  async function returningTo(topic: string): Promise<(payload: string) => Promise<unknown>> {
    const seen: string[] = []
    backend.on('message', (_topic, payload) => seen.push(String(payload)))
    await backend.subscribeAsync(topic, { qos: 0 })
    return payload => until(() => seen.includes(payload), DEADLINE_MS)
  }
})
