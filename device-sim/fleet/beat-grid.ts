// When devices may publish: at moments that they share, since each wakes the process, and cold caches cost more than a message.
// Latency is measured from such a moment. Pure.
import type { Plan } from '../scenario/plan.ts'

/** Milliseconds. */
const GRID = { least: 4, most: 16 }
/** As many messages of the whole fleet as may fall on one moment before the grid is as fine as it gets. */
const BURST = 20

/** Messages of the whole fleet in a millisecond while all are connected. */
export function beatsPerMs({ groups }: Pick<Plan, 'groups'>): number {
  const ofGroup = ({ count, publish }: Plan['groups'][number]): number =>
    publish.reduce((sum, { everyMs, on }) => sum + (on === null ? count / everyMs : 0), 0)
  return groups.reduce((sum, group) => sum + ofGroup(group), 0)
}

/**
 * Beats of this interval fall on multiples of so many milliseconds: of 4, or more up to 16 where the fleet sends so little that they
 * hold no more than 20 messages, and never more than a hundredth of the interval. Below 40 ms a tenth of it.
 */
export function gridOf(everyMs: number, perMs: number): number {
  const wide = Math.min(BURST / perMs, everyMs / 100, GRID.most)
  return Math.min(Math.max(GRID.least, Math.floor(wide)), everyMs / 10)
}
