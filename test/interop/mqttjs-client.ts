// MQTT.js as a device in MQTT 5, with promises for what a test waits for. It never comes back by itself.
import { readFileSync } from 'node:fs'
import { connect, type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt'
import type { Target } from './brokers.ts'

export type Visitor = AsyncDisposable & {
  client: MqttClient
  connack: IConnackPacket
  messages: IPublishPacket[]
  /** Resolves once this many messages have come. */
  heard(count: number): Promise<IPublishPacket[]>
  /** Resolves with the code of the broker's DISCONNECT, or null where it just closed. */
  closed: Promise<number | null>
  /** The codes of the SUBACK. */
  subscribe(filter: string, options?: Parameters<MqttClient['subscribeAsync']>[1]): Promise<number[]>
}

/** Rejects with the Reason Code as `code` where it is refused. */
export async function visit(
  { port }: Target,
  device: Target['backends'][number],
  options: IClientOptions = {},
): Promise<Visitor> {
  const client = connect({
    host: '127.0.0.1',
    port,
    protocol: 'mqtts',
    ca: readFileSync(device.files.ca),
    cert: device.certificate,
    key: device.key,
    clientId: device.id,
    protocolVersion: 5,
    reconnectPeriod: 0,
    resubscribe: false,
    ...options,
  })
  const messages: IPublishPacket[] = []
  const looking = new Set<() => void>()
  client.on('message', (topic, _payload, packet) => {
    // Where an alias stands for the topic, the packet itself has none.
    messages.push({ ...packet, topic })
    for (const look of looking) look()
  })
  let goodbye: number | null = null
  client.on('disconnect', ({ reasonCode }) => {
    goodbye = reasonCode ?? 0
  })
  const closed = new Promise<number | null>(resolve => client.once('close', () => resolve(goodbye)))
  const connack = await new Promise<IConnackPacket>((resolve, reject) => {
    client.once('connect', packet => resolve(packet))
    client.once('error', reject)
    client.once('close', () => reject(new Error('closed without CONNACK')))
  }).catch(error => {
    client.end(true)
    throw error
  })
  client.on('error', () => {})
  return {
    client,
    connack,
    messages,
    closed,
    heard: count =>
      new Promise(resolve => {
        const look = (): void => {
          if (messages.length < count) return
          looking.delete(look)
          resolve(messages.slice(0, count))
        }
        looking.add(look)
        look()
      }),
    subscribe: (filter, subscribeOptions = { qos: 1 }) =>
      new Promise((resolve, reject) => {
        client.subscribe(filter, subscribeOptions as never, (error, _granted, suback) => {
          if (suback) resolve(suback.granted.map(Number))
          else reject(error ?? new Error('no SUBACK'))
        })
      }),
    async [Symbol.asyncDispose]() {
      await client.endAsync(true)
    },
  }
}
