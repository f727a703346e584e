// How much of a bounded whole each of several may keep. Pure.

/**
 * The most that each of several may keep so that all together keep no more than `max`: one that holds less keeps all, and only those that
 * hold most give. Infinity where all fit. With more of them than `max`, 1.
 */
export function fairShare(held: readonly number[], max: number): number {
  let left = max
  const ascending = held.toSorted((a, b) => a - b)
  for (const [at, amount] of ascending.entries()) {
    const share = Math.floor(left / (ascending.length - at))
    if (amount > share) return Math.max(share, 1)
    left -= amount
  }
  return Number.POSITIVE_INFINITY
}
