// Limits before the handshake: how many connections, how many handshakes, how fast from one address.
// Refuses on counts alone; knows nothing of TLS or identity.
import type { Reason } from '../../db/reason.ts'

export type LimitSettings = {
  connectionsMax: number
  handshakesMax: number
  addressRatePerSecond: number
  addressBurst: number
  addressesMax: number
}

export type Limits = {
  /** Counts a new connection in as a handshake, or says why it may not begin. */
  begin(address: string): Reason | null
  handshakeEnded(): void
  connectionEnded(): void
  counts(): { connections: number; handshakes: number }
}

type Bucket = { tokens: number; at: number }

/** `now` gives monotonic milliseconds. */
export function createLimits(settings: LimitSettings, now: () => number): Limits {
  const buckets = new Map<string, Bucket>()
  let connections = 0
  let handshakes = 0

  function takeToken(address: string): boolean {
    const at = now()
    let bucket = buckets.get(address)
    if (bucket === undefined) {
      if (buckets.size >= settings.addressesMax) forgetOldest()
      bucket = { tokens: settings.addressBurst, at }
    } else {
      // Re-inserted below, so that the map stays in order of use and the oldest is first.
      buckets.delete(address)
    }
    const refill = ((at - bucket.at) / 1_000) * settings.addressRatePerSecond
    bucket.tokens = Math.min(settings.addressBurst, bucket.tokens + refill)
    bucket.at = at
    buckets.set(address, bucket)
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }

  function forgetOldest(): void {
    const oldest = buckets.keys().next().value
    if (oldest !== undefined) buckets.delete(oldest)
  }

  return {
    begin(address) {
      if (connections >= settings.connectionsMax) return 'connections_exceeded'
      if (!takeToken(address)) return 'address_rate_limited'
      if (handshakes >= settings.handshakesMax) return 'handshakes_exceeded'
      connections += 1
      handshakes += 1
      return null
    },
    handshakeEnded() {
      handshakes -= 1
    },
    connectionEnded() {
      connections -= 1
    },
    counts: () => ({ connections, handshakes }),
  }
}
