// A device that comes back hears first what waited for it, then what comes: messages of a topic keep their order
// [MQTT-4.6.0-6]. Until its queue is handed out, what comes for it joins the queue and nothing more.
import type { Aedes } from 'aedes'
import type { Inside } from './aedes-client.ts'
import type { SessionStore } from './session-store.ts'

/** Before the steps of CONNECT that subscribe a stored session again. */
export function holdBack(client: Inside, store: Pick<SessionStore, 'waits'>): void {
  let handedOut: number | null = null
  client.catchingUp = {
    end(newest) {
      handedOut = newest
    },
    // A message may come here only after it was handed out.
    holds: packet =>
      handedOut === null || (packet.brokerCounter <= handedOut && !store.waits(client.id, packet)),
  }
}

/**
 * Calls `ready` once CONNACK is on its way. aedes says so of a stored session only when its queue has been handed out, which may
 * take long, and leaves packets that came behind CONNECT until then.
 */
export function readyAtConnack(aedes: Aedes, ready: (client: Inside) => void): void {
  aedes.on('clientReady', client => ready(client as Inside))
  aedes.on('connackSent', ({ returnCode }, client) => {
    if (returnCode !== 0) return
    const inside = client as Inside
    ready(inside)
    inside.connected = true
    inside.emit('connected')
  })
}
