// How long ago PostgreSQL was last heard, as a gate worker knows it: by asking the engine's process, which keeps the replica. An answer
// counts from when its question was sent, so that one that comes late never makes the replica look younger than it is.

export type ReplicaAge = {
  /** In ms, by the clock of this process. Infinite before the first answer; grows while there is none. */
  ageMs(): number
  /** The answer to the question under way: how old the replica was then, in ms. */
  answered(ageMs: number): void
  /** Resolves at the first answer. */
  known: Promise<void>
}

/** Asks now, and `everyMs` after each answer. One question at a time: an engine that does not answer is not asked again. */
export function askReplicaAge(options: {
  ask(): void
  everyMs: number
  /** A monotonic clock, in ms. */
  now?: () => number
}): ReplicaAge {
  const { ask, everyMs, now = () => performance.now() } = options
  const first = Promise.withResolvers<void>()
  let heardAt = Number.NEGATIVE_INFINITY
  let askedAt = now()
  ask()
  return {
    ageMs: () => now() - heardAt,
    answered(ageMs) {
      heardAt = Math.max(heardAt, askedAt - ageMs)
      first.resolve()
      setTimeout(() => {
        askedAt = now()
        ask()
      }, everyMs)
    },
    known: first.promise,
  }
}
