// Detects by takeovers that two clients use one certificate: they take the session from each other again and again.
// Where sessions go from node to node, what is known goes with them. Pure, with a bounded memory; the consequence of a suspicion is
// decided elsewhere.

/** `from` is where the session that ends is from, `to` where the one that begins; `at` in ms since the epoch. */
type Takeover = { fingerprint: string; from: string; to: string; at: number }

/** What is known of a certificate, for another node: in ms before now, since clocks differ. Oldest first. */
export type PastTakeovers = {
  takeovers: { from: string; to: string; agoMs: number }[]
  /** When it was last told; null for never. */
  toldAgoMs: number | null
}

export type CloneDetector = {
  /** Notes a takeover within one certificate; gives a suspicion at most once a minute for each. */
  notice(takeover: Takeover): CloneSuspicion | null
  past(fingerprint: string, now: number): PastTakeovers
  /** What another node knew of it, from which its session has come. */
  takeIn(fingerprint: string, past: PastTakeovers, now: number): void
}

export const cloneKinds = ['takeover_storm', 'alternating_sources'] as const

export type CloneSuspicion = {
  kind: (typeof cloneKinds)[number]
  fingerprint: string
  /** Takeovers within the last minute. */
  takeovers: number
  /** Where they came from, as far as remembered. */
  addresses: string[]
}

/** More takeovers than this within a minute are a storm. */
const TAKEOVERS_PER_MINUTE_MAX = 10
/** A device that changes its network takes over from another address once or twice; back and forth is two devices. */
const RETURNS_MAX = 2
const MINUTE_MS = 60_000
const MEMORY_MS = 10 * MINUTE_MS
const REPEAT_MS = MINUTE_MS
const CERTIFICATES_REMEMBERED_MAX = 10_000
export const TAKEOVERS_REMEMBERED_MAX = 32
const ADDRESSES_SHOWN_MAX = 8

type History = { takeovers: Takeover[]; toldAt: number }
const NEVER = Number.NEGATIVE_INFINITY

export function createCloneDetector(): CloneDetector {
  const histories = new Map<string, History>()

  function keep(fingerprint: string, history: History): void {
    // Re-inserted, so that the map stays in order of use and the oldest is first.
    histories.delete(fingerprint)
    histories.set(fingerprint, history)
    if (histories.size > CERTIFICATES_REMEMBERED_MAX) histories.delete(histories.keys().next().value!)
  }

  /** A clock that steps back leaves nothing to count from. */
  function recent(fingerprint: string, at: number): Takeover[] {
    const { takeovers = [] } = histories.get(fingerprint) ?? {}
    return takeovers.filter(past => past.at <= at && at - past.at < MEMORY_MS)
  }

  return {
    notice(takeover) {
      const { fingerprint, at } = takeover
      const history = {
        takeovers: [...recent(fingerprint, at), takeover].slice(-TAKEOVERS_REMEMBERED_MAX),
        toldAt: Math.min(histories.get(fingerprint)?.toldAt ?? NEVER, at),
      }
      keep(fingerprint, history)
      const suspicion = classify(history.takeovers, at)
      if (suspicion === null || at - history.toldAt < REPEAT_MS) return null
      history.toldAt = at
      return suspicion
    },

    past(fingerprint, now) {
      const toldAt = histories.get(fingerprint)?.toldAt ?? NEVER
      return {
        takeovers: recent(fingerprint, now).map(({ from, to, at }) => ({ from, to, agoMs: now - at })),
        toldAgoMs: toldAt === NEVER ? null : Math.max(0, now - toldAt),
      }
    },

    takeIn(fingerprint, { takeovers, toldAgoMs }, now) {
      const own = recent(fingerprint, now)
      const brought = takeovers.map(({ from, to, agoMs }) => ({ fingerprint, from, to, at: now - agoMs }))
      if (own.length === 0 && brought.length === 0) return
      const toldAt = histories.get(fingerprint)?.toldAt ?? NEVER
      keep(fingerprint, {
        // What comes is the same and what followed, unless an answer between nodes was lost.
        takeovers: own.length > brought.length ? own : brought.slice(-TAKEOVERS_REMEMBERED_MAX),
        toldAt: Math.max(toldAt, toldAgoMs === null ? NEVER : now - toldAgoMs),
      })
    },
  }
}

function classify(takeovers: readonly Takeover[], at: number): CloneSuspicion | null {
  const lastMinute = takeovers.filter(takeover => at - takeover.at < MINUTE_MS)
  const alternates = countReturns(takeovers) >= RETURNS_MAX
  if (!alternates && lastMinute.length <= TAKEOVERS_PER_MINUTE_MAX) return null
  return {
    kind: alternates ? 'alternating_sources' : 'takeover_storm',
    fingerprint: takeovers[0]!.fingerprint,
    takeovers: lastMinute.length,
    addresses: [...new Set(takeovers.flatMap(({ from, to }) => [from, to]))].slice(0, ADDRESSES_SHOWN_MAX),
  }
}

/** How often the session went back to where it had been taken from. */
function countReturns(takeovers: readonly Takeover[]): number {
  return takeovers.filter((takeover, index) => {
    const before = takeovers[index - 1]
    return before !== undefined && takeover.from !== takeover.to && takeover.to === before.from
  }).length
}
