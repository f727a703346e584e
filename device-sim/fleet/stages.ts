// Plays the stages for the devices of one worker: starts of devices, lost sessions, pauses.
// Every worker computes the whole fleet's times from the same seed and takes its own. Does not know what devices do then.
import { chanceOf, seedOf } from '../random.ts'
import type { Plan, StagePlan } from '../scenario/plan.ts'
import { stageTimes } from '../scenario/stage-times.ts'
import { connect } from './device.ts'
import type { Device } from './device-state.ts'
import type { Group } from './group.ts'
import { startTimesMs } from './start-times.ts'
import type { WorkerContext } from './worker-context.ts'

/** Schedules all stages; `startAt` is the start of the run. */
export function playStages(
  plan: Plan,
  devices: ReadonlyMap<number, Device>,
  groups: readonly Group[],
  context: WorkerContext,
  startAt: number,
): void {
  const { beginsAtMs } = stageTimes(plan)
  const firstOf = firstIndexes(plan)
  const started = new Set<number>()
  for (const [index, stage] of plan.stages.entries()) {
    const beginsAt = startAt + (beginsAtMs[index] ?? 0)
    context.schedule.at(beginsAt, () => {
      for (const group of groups) {
        const silent = stage.kind === 'pause' || (stage.kind === 'ramp' && stage.quiet)
        group.paused = silent && stage.groups.includes(group.index)
      }
    })
    if (stage.kind === 'ramp') {
      const own = stage.groups.filter(group => !started.has(group))
      for (const group of own) started.add(group)
      ramp(plan, { ...stage, groups: own }, index, beginsAt, firstOf, devices, context)
    }
    if (stage.kind === 'storm') storm(stage, index, beginsAt, devices, context)
  }
}

/** The place of each group's first device in the fleet. */
function firstIndexes(plan: Pick<Plan, 'groups'>): number[] {
  let next = 0
  return plan.groups.map(({ count }) => {
    const first = next
    next += count
    return first
  })
}

type Ramp = Extract<StagePlan, { kind: 'ramp' }>
type Storm = Extract<StagePlan, { kind: 'storm' }>

/** Groups of one ramp start side by side: a device's turn is its share of its group. */
function ramp(
  plan: Plan,
  stage: Ramp,
  stageIndex: number,
  beginsAt: number,
  firstOf: readonly number[],
  devices: ReadonlyMap<number, Device>,
  context: WorkerContext,
): void {
  const turns = stage.groups.flatMap(group => {
    const count = plan.groups[group]?.count ?? 0
    return Array.from({ length: count }, (_, member) => ({
      index: (firstOf[group] ?? 0) + member,
      place: (member + 0.5) / count,
    }))
  })
  turns.sort((a, b) => a.place - b.place || a.index - b.index)
  const times = startTimesMs(turns.length, stage.rate, stage.arrival, seedOf(plan.seed, 'ramp', stageIndex))
  for (const [turn, { index }] of turns.entries()) {
    const device = devices.get(index)
    if (device) context.schedule.at(beginsAt + (times[turn] ?? 0), dueAt => connect(device, context, dueAt))
  }
}

function storm(
  stage: Storm,
  stageIndex: number,
  beginsAt: number,
  devices: ReadonlyMap<number, Device>,
  context: WorkerContext,
): void {
  const concerned = new Set(stage.groups)
  for (const device of devices.values()) {
    if (!concerned.has(device.group.index)) continue
    if (chanceOf(context.seed, 'storm', stageIndex, device.index) >= stage.share) continue
    const after = stage.overMs * chanceOf(context.seed, 'storm time', stageIndex, device.index)
    context.schedule.at(beginsAt + after, () => device.session?.cut())
  }
}
