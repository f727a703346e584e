// What is half done when the broker is told to stop: known and waited for, while nothing new is taken. How a connection ends is the
// engine's business.

import type { Output } from './connection/output.ts'
import type { Client } from './state.ts'

/** A client that is not stored and acknowledges nothing for so long is not waited for: what it was sent ends with its session. */
const SILENCE_MS = 200
const LOOK_MS = 10

export type Drain = {
  /** Whether it has begun: nobody new comes in, and no message of QoS 1 or 2 is taken. */
  begun(): boolean
  /**
   * Resolves when nothing is half done, or after the deadline; gives how many connections it came too early for. From then on
   * they end in order.
   */
  finish(deadlineMs: number): Promise<number>
  /** Whether its connection would end too early now. */
  isHalfDone(client: Client): boolean
}

export function createDrain(parts: { clients(): Iterable<Client>; output(): Output }): Drain {
  let begunAt: number | null = null

  function isHalfDone(client: Client, now: number): boolean {
    const { phase, state, batches } = client
    if (phase !== 'open' || state === null) return false
    // Acknowledgements that wait for the disk; QoS 2 without PUBREL; bytes not yet on the wire.
    if (batches.length > 0 || (state.incoming?.size ?? 0) > 0 || parts.output().unsentBytes(client) > 0)
      return true
    if ((state.inFlight?.size ?? 0) === 0) return false
    return state.isKept || now - Math.max(client.acknowledgedAt, begunAt ?? 0) < SILENCE_MS
  }

  return {
    begun: () => begunAt !== null,
    isHalfDone: client => isHalfDone(client, performance.now()),
    async finish(deadlineMs) {
      begunAt = performance.now()
      const clients = [...parts.clients()]
      const end = begunAt + deadlineMs
      for (;;) {
        const now = performance.now()
        const isHalfDoneNow = (client: Client) => isHalfDone(client, now)
        if (!clients.some(isHalfDoneNow) || now >= end) return clients.filter(isHalfDoneNow).length
        await new Promise(resolve => setTimeout(resolve, LOOK_MS))
      }
    },
  }
}
