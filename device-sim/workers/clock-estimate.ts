// How far another clock, of another machine or process, is ahead of ours, from questions answered with its time. Pure.
// Does not know how questions travel.

export type ClockEstimate = {
  /** `sentAt` and `receivedAt` by our clock, `answeredAt` by the other. @returns whether the estimate has changed. */
  add(sentAt: number, answeredAt: number, receivedAt: number): boolean
  /** To be added to our clock. */
  offsetMs(): number
  /** The most by which the estimate can be wrong at that time: half of the way to and fro, and what clocks drift since. */
  errorMs(now: number): number
}

/** Quartz clocks differ by less than 100 millionths; twice that between two of them. */
const DRIFT_SHARE = 0.0002

export function createClockEstimate(): ClockEstimate {
  let best: { offsetMs: number; errorMs: number; at: number } | null = null

  function errorMs(now: number): number {
    return best ? best.errorMs + (now - best.at) * DRIFT_SHARE : Number.POSITIVE_INFINITY
  }

  return {
    add(sentAt, answeredAt, receivedAt) {
      const found = {
        offsetMs: answeredAt - (sentAt + receivedAt) / 2,
        errorMs: (receivedAt - sentAt) / 2,
        at: receivedAt,
      }
      if (!(found.errorMs >= 0 && found.errorMs < errorMs(receivedAt))) return false
      best = found
      return true
    },
    offsetMs: () => best?.offsetMs ?? 0,
    errorMs,
  }
}
