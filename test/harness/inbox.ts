// What an MQTT client has received, and a way to wait for it without sleeping.
import { EventEmitter, once } from 'node:events'
import type { MqttClient } from 'mqtt'

export type Received = { topic: string; payload: string; qos: number; retain: boolean }

export type Inbox = {
  all: Received[]
  /** Resolves with the first message, past or to come, that has this payload. */
  message(payload: string): Promise<Received>
}

/** Collects from now on; open it before what is to be seen can happen. */
export function openInbox(client: MqttClient): Inbox {
  const all: Received[] = []
  const arrivals = new EventEmitter().setMaxListeners(0)
  client.on('message', (topic, payload, { qos, retain }) => {
    all.push({ topic, payload: String(payload), qos, retain })
    arrivals.emit('message')
  })
  return {
    all,
    async message(payload) {
      for (;;) {
        const found = all.find(received => received.payload === payload)
        if (found !== undefined) return found
        await once(arrivals, 'message')
      }
    },
  }
}

/** Resolves when the client's connection has closed, at once where it is closed already. */
export function gone(client: MqttClient): Promise<void> {
  client.on('error', () => {})
  if (client.stream.destroyed) return Promise.resolve()
  return new Promise(resolve => client.stream.once('close', () => resolve()))
}
