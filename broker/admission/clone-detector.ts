// Detects by takeovers that two clients use one certificate: they take the session from each other again and again.
// Pure, with a bounded memory; the consequence of a suspicion is decided elsewhere.

type Takeover = {
  fingerprint: string
  /** Where the session that ends is from, and where the one that begins. */
  from: string
  to: string
  at: number
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
const TAKEOVERS_REMEMBERED_MAX = 32
const ADDRESSES_SHOWN_MAX = 8

type History = { takeovers: Takeover[]; toldAt: number }

/** Notes a takeover within one certificate; gives a suspicion at most once a minute for each. `at` in ms since the epoch. */
export function createCloneDetector(): (takeover: Takeover) => CloneSuspicion | null {
  const histories = new Map<string, History>()

  return takeover => {
    const { fingerprint, at } = takeover
    const known = histories.get(fingerprint)
    // A clock that steps back leaves nothing to count from.
    const recent = (known?.takeovers ?? []).filter(past => past.at <= at && at - past.at < MEMORY_MS)
    const history = {
      takeovers: [...recent, takeover].slice(-TAKEOVERS_REMEMBERED_MAX),
      toldAt: Math.min(known?.toldAt ?? Number.NEGATIVE_INFINITY, at),
    }
    // Re-inserted, so that the map stays in order of use and the oldest is first.
    histories.delete(fingerprint)
    histories.set(fingerprint, history)
    if (histories.size > CERTIFICATES_REMEMBERED_MAX) histories.delete(histories.keys().next().value!)

    const suspicion = classify(history.takeovers, at)
    if (suspicion === null || at - history.toldAt < REPEAT_MS) return null
    history.toldAt = at
    return suspicion
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
