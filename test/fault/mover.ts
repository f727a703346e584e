// A device that goes to another broker ten times a second, with a session that it keeps.
import { setTimeout as delay } from 'node:timers/promises'
import mqtt, { type MqttClient } from 'mqtt'
import { until } from '../cli/running.ts'
import type { Device } from '../e2e/devices.ts'

const EVERY_MS = 100
const ANSWER_MS = 5_000

export function startMover(ports: readonly number[], { id, certificate, key, ca }: Device) {
  const open = new Set<MqttClient>()
  let last: MqttClient | null = null
  let isRunning = true
  let moves = 0
  /** Since one did not get in: all brokers in turn. */
  let inARow = 0

  async function move(port: number): Promise<void> {
    const client = mqtt.connect(`mqtts://127.0.0.1:${port}`, {
      ...{ clientId: id, clean: false, cert: certificate, key, ca, servername: 'localhost' },
      ...{ reconnectPeriod: 0, connectTimeout: ANSWER_MS, keepalive: 0 },
    })
    client.on('error', () => {})
    open.add(client)
    client.once('close', () => open.delete(client))
    const isIn = await new Promise<boolean>(resolve => {
      client.once('connect', () => resolve(true))
      client.once('close', () => resolve(false))
    })
    if (isIn) {
      moves += 1
      inARow += 1
      last = client
    } else {
      inARow = 0
      client.end(true)
    }
  }

  const running = (async () => {
    for (let at = 0; isRunning; at += 1) await Promise.all([move(ports[at % ports.length]!), delay(EVERY_MS)])
  })()

  return {
    moves: () => moves,
    /** It gets in everywhere, and no connection of before is left. */
    async settled(withinMs: number): Promise<void> {
      inARow = 0
      const before = [...open]
      await until(() => inARow >= 2 * ports.length, 'the device gets in everywhere', withinMs)
      await until(
        () => before.every(client => client === last || !open.has(client)),
        'one connection is left',
        withinMs,
      )
    },
    async end(): Promise<void> {
      isRunning = false
      await running
      for (const client of open) client.end(true)
    },
  }
}
