// The broker is killed again and again under QoS 1 and QoS 2, towards a device that is away and one that is being served: what
// was acknowledged arrives, at QoS 2 exactly once.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import mqtt, { type MqttClient } from 'mqtt'
import type { Identity } from '../harness/authority.ts'
import { type ForkedBroker, forkBroker } from '../harness/fork.ts'
import { startPublishing } from '../harness/publishing.ts'
import { createRoll, type Roll } from '../harness/roll.ts'
import { until } from '../harness/until.ts'
import { length } from './length.ts'

const KILLS = length(2, 25)
const flow = { atOnce: length(10, 40), pauseMs: 0 }
/** What a client of MQTT 5 asks for: a session without end, few messages at once, and aliases. */
const kept = { sessionExpiryInterval: 0xffff_ffff, receiveMaximum: 10, topicAliasMaximum: 4 }
const settings = { offlineMessagesMax: 1_000_000, offlineBytesMax: 1_000_000_000 }

describe('kill -9 of the broker', () => {
  let roll: Roll
  let broker: ForkedBroker
  let port = 0
  const clients: MqttClient[] = []

  beforeEach(async () => {
    roll = await createRoll()
    broker = await forkBroker(roll, { settings })
    port = broker.port
  })
  afterEach(async () => {
    await Promise.all(clients.splice(0).map(client => client.endAsync(true)))
    await broker.close()
    await roll.close()
  })

  /** Comes back by itself, with the session it had: what it sent and got unfinished is finished then. */
  function persistent(id: string, identity: Identity, version: 4 | 5): MqttClient {
    const client = mqtt.connect(`mqtts://127.0.0.1:${port}`, {
      clientId: id,
      clean: false,
      cert: identity.certificate,
      key: identity.key,
      ca: roll.root.certificate,
      servername: 'localhost',
      reconnectPeriod: 20,
      reconnectOnConnackError: true,
      protocolVersion: version,
      ...(version === 5 && { properties: kept }),
    })
    client.on('error', () => {})
    clients.push(client)
    return client
  }

  async function again(): Promise<void> {
    await broker.kill()
    broker = await forkBroker(roll, { port, settings })
  }

  function collecting(client: MqttClient, topic: string): Map<string, number> {
    const seen = new Map<string, number>()
    client.on('message', (on, payload) => {
      if (on === topic) seen.set(String(payload), (seen.get(String(payload)) ?? 0) + 1)
    })
    return seen
  }

  async function subscribed(device: MqttClient): Promise<void> {
    await device.subscribeAsync('devices/d1/#', { qos: 2 })
  }

  for (const [where, version] of [
    ['away', 4],
    ['away', 5],
    ['inside', 4],
    ['inside', 5],
  ] as const) {
    const name = version === 5 ? 'MQTT 5' : 'MQTT 3.1.1'
    test(`loses nothing acknowledged for a device that is ${where}, in ${name}`, async t => {
      const identity = await roll.enroll('d1')
      const backend = await roll.enroll('b1', { groups: ['backend'] })
      let device = persistent('d1', identity, version)
      await subscribed(device)
      let once = collecting(device, 'devices/d1/q1')
      let exactly = collecting(device, 'devices/d1/q2')
      if (where === 'away') await device.endAsync()
      const publisher = persistent('b1', backend, version)
      const first = startPublishing(publisher, 'devices/d1/q1', 1, flow)
      const second = startPublishing(publisher, 'devices/d1/q2', 2, flow)
      for (let kills = 0; kills < KILLS; kills += 1) {
        const before = [first, second].map(({ acknowledged }) => acknowledged.length)
        const wanted = 50 + Math.floor(Math.random() * length(20, 100))
        const moved = () =>
          [first, second].every(({ acknowledged }, index) => acknowledged.length > before[index]! + wanted)
        await until(moved, 60_000)
        await again()
      }
      await Promise.all([first.stop(), second.stop()])
      if (where === 'away') {
        device = persistent('d1', identity, version)
        once = collecting(device, 'devices/d1/q1')
        exactly = collecting(device, 'devices/d1/q2')
      }
      const arrived = () =>
        once.size >= first.acknowledged.length && exactly.size >= second.acknowledged.length
      await until(arrived, 60_000).catch(() => {})
      const missing = (seen: Map<string, number>, of: string[]) => of.filter(payload => !seen.has(payload))
      assert.deepEqual(missing(once, first.acknowledged), [], 'every message of QoS 1 arrives')
      assert.deepEqual(missing(exactly, second.acknowledged), [], 'every message of QoS 2 arrives')
      assert.deepEqual(
        [...exactly].filter(([, times]) => times !== 1),
        [],
        'and exactly once',
      )
      assert.ok(first.acknowledged.length > KILLS * 50)
      t.diagnostic(
        `${KILLS} kills, device ${where}: ${first.acknowledged.length} of QoS 1 and ${second.acknowledged.length} of QoS 2 arrived`,
      )
    })
  }
})
