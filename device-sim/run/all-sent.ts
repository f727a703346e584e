// Whether a run with so many messages has sent them all. Pure.
import type { Counts } from '../results/tick.ts'
import type { Plan } from '../scenario/plan.ts'

/** How many messages a run has in all; infinite where a publisher has no end. */
export function messagesOf(plan: Plan): number {
  const beats = plan.groups.flatMap(({ publish }) => publish).filter(({ on }) => on === null)
  const most = beats.map(({ messagesMax }) => messagesMax ?? Number.POSITIVE_INFINITY)
  return most.length === 0 ? Number.POSITIVE_INFINITY : most.reduce((sum, one) => sum + one, 0)
}

export function sentOf({ traffic }: Counts): number {
  return traffic.reduce((sum, { sent }) => sum + sent, 0)
}
