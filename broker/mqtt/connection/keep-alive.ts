// Keep Alive (MQTT 5 §3.1.2.10): a client that is silent for one and a half times of it is gone [MQTT-3.1.2-22]. One timer for a
// connection, looked at when it fires and not at every packet.
import type { Client } from '../state.ts'

export function startKeepAlive(client: Client, seconds: number, onTimeout: (client: Client) => void): void {
  if (seconds === 0) return
  const limitMs = seconds * 1_500
  const look = () => {
    const leftMs = client.heardAt + limitMs - performance.now()
    if (leftMs > 0) client.keepAlive = setTimeout(look, leftMs + 1)
    else onTimeout(client)
  }
  client.keepAlive = setTimeout(look, limitMs + 1)
}
