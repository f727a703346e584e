// Limits before the handshake: how many connections, how many handshakes, how fast from one address. A connection
// beyond the handshake limit waits. Decides by counts and by earlier results of the address (for IPv6 of its /64); knows neither
// TLS nor identities.
import type { Reason } from '../../../db/reason.ts'
import { addressPrefix } from './address-prefix.ts'
import { type Called, createHandshakeQueue, type Lane } from './handshake-queue.ts'

type LimitSettings = {
  connectionsMax: number
  handshakesMax: number
  /** Connections that may wait for a handshake, and for how long. */
  handshakesWaitingMax: number
  handshakeWaitMs: number
  /** Percent of the handshakes for addresses without a recent listed device. */
  strangerShare: number
  addressRatePerSecond: number
  addressBurst: number
  /** Handshakes at once from one address. */
  addressHandshakesMax: number
  addressesMax: number
}

/** How a handshake ended: with a certificate on the roll, without one or not at all, or it never began. */
export type HandshakeOutcome = 'known' | 'stranger' | 'gone'

export type Limits = {
  /** Counts a new connection and its handshake, and answers null now or when its turn comes; or answers the reason of a refusal. */
  begin(address: string, answer: (refusal: Reason | null) => void): void
  handshakeEnded(address: string, outcome: HandshakeOutcome): void
  connectionEnded(): void
}

/** Limits that are counted here. */
export type CountedLimits = Limits & {
  counts(): { connections: number; handshakes: number; waiting: number }
  /** Connections since the start. */
  begun(): number
}

/** The record of an address. `seenAt`: when its tokens were last counted; `reputation` grows with each listed device. */
type Visitor = { tokens: number; seenAt: number; handshakes: number; asStranger: number; reputation: number }

/** A stranger costs its address as much as so many devices on the roll. */
const STRANGER_TOKENS = 10
const REPUTATION_MAX = 10

/** `now` gives monotonic milliseconds. */
export function createLimits(settings: LimitSettings, now: () => number): CountedLimits {
  /** An address with handshakes in progress stays, because their ends are counted for it. */
  const busy = new Map<string, Visitor>()
  /** All others, in order of use, the oldest first, which is forgotten for the next. */
  const idle = new Map<string, Visitor>()
  const strangersMax = Math.max(1, Math.floor((settings.handshakesMax * settings.strangerShare) / 100))
  const waiting = createHandshakeQueue(settings, now, lineOf)
  let begun = 0
  let connections = 0
  let handshakes = 0
  let strangers = 0
  let serving = false

  const visitorOf = (address: string) => busy.get(address) ?? idle.get(address)

  /** The visitor with its tokens as of now, the youngest of those that are idle. */
  function visit(address: string): Visitor {
    const at = now()
    const known = visitorOf(address)
    if (known === undefined && busy.size + idle.size >= settings.addressesMax) forgetOldest()
    const visitor = known ?? {
      tokens: settings.addressBurst,
      seenAt: at,
      handshakes: 0,
      asStranger: 0,
      reputation: 0,
    }
    const refill = ((at - visitor.seenAt) / 1_000) * settings.addressRatePerSecond
    visitor.tokens = Math.min(settings.addressBurst, visitor.tokens + refill)
    visitor.seenAt = at
    if (visitor.handshakes === 0) {
      idle.delete(address)
      idle.set(address, visitor)
    }
    return visitor
  }

  function forgetOldest(): void {
    for (const address of idle.keys()) {
      idle.delete(address)
      return
    }
  }

  /** One address alone never takes every handshake from the others, and strangers never those of devices on the roll. */
  function lineOf(address: string): Lane {
    const visitor = visitorOf(address)
    if ((visitor?.handshakes ?? 0) >= settings.addressHandshakesMax) return 'held'
    return (visitor?.reputation ?? 0) > 0 ? 'known' : 'strangers'
  }

  function mayStart(address: string): boolean {
    const line = lineOf(address)
    return (
      handshakes < settings.handshakesMax &&
      (line === 'known' || (line === 'strangers' && strangers < strangersMax))
    )
  }

  function next(): Called | null {
    return handshakes < settings.handshakesMax ? waiting.take(strangers < strangersMax) : null
  }

  function start(address: string): void {
    const visitor = visit(address)
    handshakes += 1
    visitor.handshakes += 1
    idle.delete(address)
    busy.set(address, visitor)
    if (visitor.reputation > 0) return
    strangers += 1
    visitor.asStranger += 1
  }

  function ended(visitor: Visitor, outcome: HandshakeOutcome): void {
    visitor.handshakes -= 1
    if (visitor.asStranger > 0) {
      visitor.asStranger -= 1
      strangers -= 1
    }
    if (outcome === 'known') visitor.reputation = Math.min(REPUTATION_MAX, visitor.reputation + 2)
    if (outcome !== 'stranger') return
    visitor.reputation = Math.max(-REPUTATION_MAX, visitor.reputation - 1)
    visitor.tokens = Math.max(-settings.addressBurst, visitor.tokens - (STRANGER_TOKENS - 1))
  }

  /** A started handshake can end at once and call this again; the outer loop handles that. */
  function serve(): void {
    if (serving) return
    serving = true
    try {
      for (let called = next(); called !== null; called = next()) {
        if (called.tooLate) connections -= 1
        else start(called.address)
        called.answer(called.tooLate ? 'handshakes_exceeded' : null)
      }
    } finally {
      serving = false // an answer that throws must not block the connections that wait
    }
  }

  return {
    begin(from, answer) {
      const address = addressPrefix(from)
      begun += 1
      if (connections >= settings.connectionsMax) return answer('connections_exceeded')
      const visitor = visit(address)
      if (visitor.tokens < 1) return answer('address_rate_limited')
      visitor.tokens -= 1
      if (waiting.isEmptyFor(address) && mayStart(address)) {
        connections += 1
        start(address)
        return answer(null)
      }
      if (!waiting.enter({ address, answer })) return answer('handshakes_exceeded')
      connections += 1
    },
    handshakeEnded(from, outcome) {
      handshakes -= 1
      const address = addressPrefix(from)
      const visitor = busy.get(address)
      if (visitor !== undefined) ended(visitor, outcome)
      if (visitor?.handshakes === 0) {
        busy.delete(address)
        idle.set(address, visitor)
      }
      waiting.changed(address)
      serve()
    },
    connectionEnded() {
      connections -= 1
    },
    counts: () => ({ connections, handshakes, waiting: waiting.size() }),
    begun: () => begun,
  }
}
