// Consumers that share a subscription with clean sessions are killed again and again under QoS 1, and one stays: what was
// acknowledged to its publisher is consumed, by whomever.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { Identity } from '../harness/authority.ts'
import { mqttClient, startTestBroker } from '../harness/broker.ts'
import { gone } from '../harness/inbox.ts'
import { until } from '../harness/until.ts'
import { length } from './length.ts'

const MESSAGES = length(1_000, 20_000)
const BETWEEN_KILLS = 40
const SHARED = '$share/workers/devices/+/up'

test('kill of consumers: every acknowledged message is consumed while one stays', async context => {
  const t = await startTestBroker({ settings: { addressRatePerSecond: 1_000, addressBurst: 1_000 } })
  const consumed = new Map<string, number>()
  const clients: MqttClient[] = []
  const enroll = (id: string) => t.roll.enroll(id, { groups: ['backend'] })

  /** Works on one message after the other, for some turns each, and acknowledges what it is done with. */
  async function consumer(id: string, identity: Identity): Promise<MqttClient> {
    const client = await mqttClient(t, id, identity)
    client.on('error', () => {})
    clients.push(client)
    client.handleMessage = ({ payload }, done) => {
      let turns = 3
      const work = () => {
        turns -= 1
        if (client.stream.destroyed) return
        if (turns > 0) return void setImmediate(work)
        consumed.set(String(payload), (consumed.get(String(payload)) ?? 0) + 1)
        done()
      }
      work()
    }
    await client.subscribeAsync(SHARED, { qos: 1 })
    return client
  }

  try {
    await consumer('stays', await enroll('stays'))
    const names = ['b1', 'b2', 'b3']
    const identities = await Promise.all(names.map(enroll))
    const killed = await Promise.all(names.map((name, at) => consumer(name, identities[at]!)))
    const publisher = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
    clients.push(publisher)
    for (let first = 1; first <= MESSAGES; first += BETWEEN_KILLS) {
      const numbers = Array.from({ length: BETWEEN_KILLS }, (_, index) => String(first + index))
      const published = Promise.all(
        numbers.map(number => publisher.publishAsync('devices/d1/up', number, { qos: 1 })),
      )
      const enough = first - 1 + Math.floor(Math.random() * BETWEEN_KILLS)
      await until(() => consumed.size >= enough, 30_000)
      const at = Math.floor(Math.random() * names.length)
      killed[at]!.stream.destroy()
      await gone(killed[at]!)
      killed[at] = await consumer(names[at]!, identities[at]!)
      await published
    }
    await until(() => consumed.size === MESSAGES, 30_000)
    const twice = [...consumed.values()].filter(times => times > 1).length
    const kills = MESSAGES / BETWEEN_KILLS
    context.diagnostic(`${kills} kills, ${MESSAGES} acknowledged and consumed, ${twice} more than once`)
    assert.doesNotMatch(await t.broker.metrics(), /messages_dropped_total\{queue="shared"\} [1-9]/)
  } finally {
    await Promise.all(clients.map(client => client.endAsync(true)))
    await t.close()
  }
})
