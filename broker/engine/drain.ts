// What is half done when the broker is told to stop: known and waited for, while nothing new is taken. Knows what aedes notes
// of a connection; how a connection ends is the engine's business.
import type { Inside } from './aedes-client.ts'
import type { SessionStore } from './session-store.ts'

/** What was sent to a clean session is noted nowhere: so long a silence tells that it has acknowledged all of it. */
const SILENCE_MS = 200
const LOOK_MS = 10

export type Drain = {
  /** Whether it has begun: nobody new comes in. */
  begun(): boolean
  /**
   * Resolves when nothing is half done, or after the deadline; gives how many connections it came too early for. From then on
   * they end in order.
   */
  finish(deadlineMs: number): Promise<number>
}

export function createDrain(parts: {
  clients(): Iterable<Inside>
  store: Pick<SessionStore, 'isUnderWay' | 'handOutNoMore'>
}): Drain {
  const heardAt = new Map<Inside, number>()
  let begun = false

  /** A message that comes now is neither acknowledged nor passed on: its device has it still. The rest is heard as before. */
  function takeNoMessages(client: Inside): void {
    const [handle] = client._parser.listeners('packet')
    heardAt.set(client, performance.now())
    client._parser.removeAllListeners('packet')
    client._parser.on('packet', packet => {
      if (packet.cmd === 'publish' && packet.qos > 0) return
      if (packet.cmd.startsWith('pub')) heardAt.set(client, performance.now())
      handle?.call(client._parser, packet)
    })
  }

  function isHalfDone(client: Inside, now: number): boolean {
    if (client.closed || !client.connected) return false
    // Packets being handled; QoS 2 without PUBREL; bytes not yet on the wire.
    if (client._parsingBatch > 0 || client._inboundInflight.size > 0 || client.conn.writableLength > 0)
      return true
    if (!client.clean) return parts.store.isUnderWay(client.id)
    const listens = client.session?.filters.values().some(qos => qos > 0) === true
    return listens && now - (heardAt.get(client) ?? now) < SILENCE_MS
  }

  return {
    begun: () => begun,
    async finish(deadlineMs) {
      begun = true
      parts.store.handOutNoMore()
      const clients = [...parts.clients()]
      for (const client of clients) takeNoMessages(client)
      const end = performance.now() + deadlineMs
      for (;;) {
        const now = performance.now()
        const isHalfDoneNow = (client: Inside) => isHalfDone(client, now)
        if (!clients.some(isHalfDoneNow) || now >= end) return clients.filter(isHalfDoneNow).length
        await new Promise(resolve => setTimeout(resolve, LOOK_MS))
      }
    },
  }
}
