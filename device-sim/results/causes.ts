// Why attempts ended without a session, most frequent first, in a few words. Pure.
import type { GroupCounts } from './tick.ts'

const NAMED_MAX = 3

type Counted = Pick<GroupCounts, 'refusals' | 'failures'>

/** `40 × unreachable_econnrefused, 2 × timeout_tls`; of groups together. */
export function countCauses(groups: readonly Counted[]): string {
  const times = new Map<string, number>()
  for (const { refusals, failures } of groups) {
    for (const [saw, { expected, unexpected }] of Object.entries(refusals)) {
      times.set(saw, (times.get(saw) ?? 0) + expected + unexpected)
    }
    for (const [saw, count] of Object.entries(failures)) times.set(saw, (times.get(saw) ?? 0) + count)
  }
  return listed(Object.fromEntries(times))
}

/** The most frequent ones; how many more there are. */
export function listed(causes: Readonly<Record<string, number>>): string {
  const ranked = Object.entries(causes).toSorted(([, a], [, b]) => b - a)
  const named = ranked.slice(0, NAMED_MAX).map(([cause, count]) => `${count} × ${cause}`)
  const more = ranked.length - NAMED_MAX
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ')
}
