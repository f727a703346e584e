// When the stages of a plan begin and end. Pure; apart from plan.ts since workers need it and no schema.
import type { GroupPlan, Plan, StagePlan } from './plan.ts'

/** When each stage begins, in milliseconds from the start of the run, and when the last one ends. */
export function stageTimes(plan: Pick<Plan, 'stages' | 'groups'>): {
  beginsAtMs: number[]
  endsAtMs: number
} {
  const beginsAtMs: number[] = []
  let atMs = 0
  for (const stage of plan.stages) {
    beginsAtMs.push(atMs)
    atMs += stage.forMs ?? rampMs(stage, plan.groups)
  }
  return { beginsAtMs, endsAtMs: atMs }
}

function rampMs(stage: StagePlan, groups: readonly GroupPlan[]): number {
  if (stage.kind !== 'ramp') return 0
  const devices = stage.groups.reduce((sum, group) => sum + (groups[group]?.count ?? 0), 0)
  return (devices * 1000) / stage.rate
}
