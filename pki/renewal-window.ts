// When a certificate is due for renewal, told by its validity alone. Pure; times in ms since the epoch.

export type ValidityPeriod = { notBefore: number; notAfter: number }

/** A certificate that was always old (notBefore in 1950) or has no end to speak of (9999) is counted as living so long. */
const LIFE_MAX_MS = 20 * 365 * 86_400_000

function beginningOf({ notBefore, notAfter }: ValidityPeriod): number {
  return Math.max(notBefore, notAfter - LIFE_MAX_MS)
}

/** From two thirds of its life on a device may renew its certificate. */
export function renewalOpensAt(period: ValidityPeriod): number {
  const begins = beginningOf(period)
  return begins + Math.floor(((period.notAfter - begins) * 2) / 3)
}

/** From nine tenths of its life on somebody should look why it was not renewed. */
export function renewalCriticalAt(period: ValidityPeriod): number {
  const begins = beginningOf(period)
  return begins + Math.floor(((period.notAfter - begins) * 9) / 10)
}

/**
 * When, in a change that is spread over some time, the turn of one certificate comes: by its fingerprint, so that a fleet
 * comes evenly and everybody computes the same.
 */
export function turnOf(fingerprint: string, { at, spreadMs }: { at: number; spreadMs: number }): number {
  return at + Math.floor((Number.parseInt(fingerprint.slice(0, 8), 16) / 2 ** 32) * spreadMs)
}
