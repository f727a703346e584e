// How often the work for one item of a loop may fail before the loop goes on without it. Kept in memory: a restart tries again.

type Attempts = {
  /** Counts a failure; true where it was the last attempt. */
  failed(item: string): boolean
  /** Forgets its failures. */
  succeeded(item: string): void
}

const ATTEMPTS_MAX = 3
/** Items that failed and have neither succeeded nor been given up; the oldest is forgotten first. */
const REMEMBERED_MAX = 10_000

export function createAttempts(most = ATTEMPTS_MAX): Attempts {
  const failures = new Map<string, number>()
  return {
    failed(item) {
      const count = (failures.get(item) ?? 0) + 1
      failures.delete(item)
      if (count >= most) return true
      if (failures.size >= REMEMBERED_MAX) failures.delete(failures.keys().next().value!)
      failures.set(item, count)
      return false
    },
    succeeded: item => void failures.delete(item),
  }
}
