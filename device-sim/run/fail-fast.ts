// Stops a run after so many attempts without one admitted: more attempts would prove nothing new.
// Pure but for what it remembers. Does not know why devices are refused.
import { countCauses } from '../results/causes.ts'
import type { Counts } from '../results/tick.ts'
import type { Plan } from '../scenario/plan.ts'

export const FAIL_FAST_DEFAULT = 200

/** `after` attempts that ended without one admitted; 0 never stops. @returns why to stop, once, else null. */
export function createFailFast(plan: Pick<Plan, 'groups'>, after: number): (counts: Counts) => string | null {
  let stopped = false
  return ({ groups }) => {
    if (after === 0 || stopped) return null
    const honest = groups.filter((_, index) => plan.groups[index]?.expect === 'admitted')
    const admitted = honest.reduce((sum, { connects }) => sum + connects.admitted, 0)
    const ended = honest.reduce((sum, { connects }) => sum + connects.refused + connects.failed, 0)
    if (admitted > 0 || ended < after) return null
    stopped = true
    return `stopped early: none of ${ended} attempts got in: ${countCauses(honest)}`
  }
}
