// Limits before the handshake: how many connections, how many handshakes, how fast from one address.
// Refuses on counts alone; knows nothing of TLS or identity.
import type { Reason } from '../../db/reason.ts'

export type LimitSettings = {
  connectionsMax: number
  handshakesMax: number
  addressRatePerSecond: number
  addressBurst: number
  /** Handshakes at once from one address. */
  addressHandshakesMax: number
  addressesMax: number
}

export type Limits = {
  /** Counts a new connection in as a handshake and answers null, or answers why it may not begin. */
  begin(address: string, answer: (refusal: Reason | null) => void): void
  handshakeEnded(address: string): void
  connectionEnded(): void
}

/** Limits that are counted here. */
export type CountedLimits = Limits & { counts(): { connections: number; handshakes: number } }

/** What is known of an address. `seenAt` is when its tokens were last counted. */
type Visitor = { tokens: number; seenAt: number; handshakes: number }

/** `now` gives monotonic milliseconds. */
export function createLimits(settings: LimitSettings, now: () => number): CountedLimits {
  const visitors = new Map<string, Visitor>()
  let connections = 0
  let handshakes = 0

  /** The visitor with its tokens as of now, moved to the end: the map stays in order of use, the oldest first. */
  function visit(address: string): Visitor {
    const at = now()
    const known = visitors.get(address)
    if (known === undefined && visitors.size >= settings.addressesMax) forgetOldest()
    const visitor = known ?? { tokens: settings.addressBurst, seenAt: at, handshakes: 0 }
    const refill = ((at - visitor.seenAt) / 1_000) * settings.addressRatePerSecond
    visitor.tokens = Math.min(settings.addressBurst, visitor.tokens + refill)
    visitor.seenAt = at
    visitors.delete(address)
    visitors.set(address, visitor)
    return visitor
  }

  function forgetOldest(): void {
    const oldest = visitors.keys().next().value
    if (oldest !== undefined) visitors.delete(oldest)
  }

  function judge(address: string): Reason | null {
    if (connections >= settings.connectionsMax) return 'connections_exceeded'
    const visitor = visit(address)
    if (visitor.tokens < 1) return 'address_rate_limited'
    visitor.tokens -= 1
    // One address alone never takes every handshake from the others.
    if (handshakes >= settings.handshakesMax || visitor.handshakes >= settings.addressHandshakesMax) {
      return 'handshakes_exceeded'
    }
    connections += 1
    handshakes += 1
    visitor.handshakes += 1
    return null
  }

  return {
    begin: (address, answer) => answer(judge(address)),
    handshakeEnded(address) {
      handshakes -= 1
      const visitor = visitors.get(address)
      if (visitor !== undefined && visitor.handshakes > 0) visitor.handshakes -= 1
    },
    connectionEnded() {
      connections -= 1
    },
    counts: () => ({ connections, handshakes }),
  }
}
