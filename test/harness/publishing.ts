// A client that publishes numbers until it is told to stop, and which of them were acknowledged.
import { setTimeout as pause } from 'node:timers/promises'
import type { MqttClient } from 'mqtt'

export type Publishing = {
  /** In the order of their acknowledgements. */
  acknowledged: string[]
  /** Resolves once what is under way is acknowledged; rejects where it was not. */
  stop(): Promise<void>
  /** The same where its broker is gone: what is under way is never acknowledged. */
  abandon(): void
}

/** `atOnce` are under way at any time; between two of them it pauses. */
export function startPublishing(
  client: MqttClient,
  topic: string,
  qos: 1 | 2,
  { atOnce = 1, pauseMs = 10 } = {},
): Publishing {
  const acknowledged: string[] = []
  let sent = 0
  let isRunning = true
  async function publish(): Promise<void> {
    while (isRunning) {
      const text = String(sent)
      sent += 1
      await client.publishAsync(topic, text, { qos })
      acknowledged.push(text)
      if (pauseMs > 0) await pause(pauseMs)
    }
  }
  const done = Promise.all(Array.from({ length: atOnce }, publish))
  done.catch(() => {}) // `stop` tells
  return {
    acknowledged,
    async stop() {
      isRunning = false
      await done
    },
    abandon() {
      isRunning = false
      client.end(true)
    },
  }
}
