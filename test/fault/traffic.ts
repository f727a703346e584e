// Messages beside a fault: a device that publishes without a pause and its receivers, with a record of what was acknowledged.
import assert from 'node:assert/strict'
import mqtt, { type MqttClient } from 'mqtt'
import { until } from '../cli/running.ts'
import type { Credentials } from '../e2e/devices.ts'

export type Traffic = {
  acknowledged(): number
  /** How often each message of a QoS arrived. */
  arrived(qos: 1 | 2): ReadonlyMap<string, number>
  /** Sends no more, waits for what is under way, and holds what arrived against what was acknowledged. */
  settle(deadlineMs?: number): Promise<{ acknowledged: number; again: number }>
  end(): Promise<void>
}

type Someone = Credentials & { id: string; ca: string }

/** Both keep their sessions and come back by themselves, of several brokers to the next one; each QoS has so many messages in flight, the next so long after. */
export async function startTraffic(
  port: number | readonly number[],
  from: Someone,
  to: Someone,
  { inFlight = 10, everyMs = 0, servername = 'localhost', padding = 0 } = {},
): Promise<Traffic> {
  const clients: MqttClient[] = []
  const servers = [port].flat().map(each => ({ host: '127.0.0.1', port: each, protocol: 'mqtts' as const }))
  const come = ({ id, certificate, key, ca }: Someone) => {
    const client = mqtt.connect({
      protocol: 'mqtts',
      servers: clients.length === 0 ? servers : servers.toReversed(),
      ...{ clientId: id, clean: false, cert: certificate, key, ca, servername },
      ...{ reconnectPeriod: 50, connectTimeout: 10_000, keepalive: 5 },
      reconnectOnConnackError: true, // else one refusal while PostgreSQL is away ends it for good
    })
    client.on('error', () => {})
    clients.push(client)
    return client
  }
  const seen = { 1: new Map<string, number>(), 2: new Map<string, number>() }
  const acknowledged = { 1: [] as string[], 2: [] as string[] }
  const topic = `devices/${from.id}/up`

  const receiver = come(to)
  receiver.on('message', (_topic, payload) => {
    const [text = ''] = String(payload).split(' ')
    const map = seen[text.startsWith('1') ? 1 : 2]
    map.set(text, (map.get(text) ?? 0) + 1)
  })
  await receiver.subscribeAsync(topic, { qos: 2 })
  const sender = come(from)
  let sent = 0
  let stopped = false
  const end = padding === 0 ? '' : ` ${'x'.repeat(padding)}`
  const send = async (qos: 1 | 2) => {
    while (!stopped) {
      sent += 1
      const payload = `${qos}-${sent}`
      // While it resends what a lost connection left, this client gives a message up that it then sends all the same.
      const sure = await sender.publishAsync(topic, `${payload}${end}`, { qos }).then(
        () => true,
        () => false,
      )
      if (sure) acknowledged[qos].push(payload)
      if (everyMs > 0) await new Promise(resolve => setTimeout(resolve, everyMs))
    }
  }
  const all = Promise.all(Array.from({ length: inFlight }, () => [send(1), send(2)]).flat())
  all.catch(() => {}) // a sender that is ended by force has messages left

  return {
    acknowledged: () => acknowledged[1].length + acknowledged[2].length,
    arrived: qos => seen[qos],
    async settle(deadlineMs = 60_000) {
      stopped = true
      await all
      const missing = (qos: 1 | 2) => acknowledged[qos].filter(payload => !seen[qos].has(payload))
      await until(() => missing(1).length + missing(2).length === 0, 'all arrives', deadlineMs).catch(
        () => {},
      )
      assert.deepEqual(missing(1), [], 'every message of QoS 1 arrives')
      assert.deepEqual(missing(2), [], 'every message of QoS 2 arrives')
      const twice = [...seen[2]].filter(([, times]) => times > 1)
      assert.deepEqual(twice, [], 'QoS 2 arrives once')
      const again = [...seen[1].values()].reduce((sum, times) => sum + times - 1, 0)
      return { acknowledged: acknowledged[1].length + acknowledged[2].length, again }
    },
    async end() {
      stopped = true
      await Promise.all(clients.map(client => client.endAsync(true)))
    },
  }
}
