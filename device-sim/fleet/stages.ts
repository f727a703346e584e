// Carries the stages out for the devices of one worker: who starts when, who loses its session, who falls silent.
// Every worker computes the whole fleet's times from the same seed and takes its own. Refuses to know what follows.
import { chanceOf, seedOf } from '../random.ts'
import { type Plan, type StagePlan, stageTimes } from '../scenario/plan.ts'
import { type Actor, connect } from './actor.ts'
import { arrivalsMs } from './arrivals.ts'
import type { Group } from './group.ts'
import type { World } from './world.ts'

/** Puts everything that the stages hold into the schedule; `startAt` is the start of the run. */
export function playStages(
  plan: Plan,
  actors: ReadonlyMap<number, Actor>,
  groups: readonly Group[],
  world: World,
  startAt: number,
): void {
  const { beginsAtMs } = stageTimes(plan)
  const firstOf = firstIndexes(plan)
  const started = new Set<number>()
  for (const [index, stage] of plan.stages.entries()) {
    const beginsAt = startAt + (beginsAtMs[index] ?? 0)
    world.schedule.at(beginsAt, () => {
      for (const group of groups) {
        group.paused = stage.kind === 'pause' && stage.groups.includes(group.index)
      }
    })
    if (stage.kind === 'ramp') {
      const own = stage.groups.filter(group => !started.has(group))
      for (const group of own) started.add(group)
      ramp(plan, { ...stage, groups: own }, index, beginsAt, firstOf, actors, world)
    }
    if (stage.kind === 'storm') storm(stage, index, beginsAt, actors, world)
  }
}

/** The place of each group's first device in the fleet. */
export function firstIndexes(plan: Pick<Plan, 'groups'>): number[] {
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
  actors: ReadonlyMap<number, Actor>,
  world: World,
): void {
  const turns = stage.groups.flatMap(group => {
    const count = plan.groups[group]?.count ?? 0
    return Array.from({ length: count }, (_, member) => ({
      device: (firstOf[group] ?? 0) + member,
      place: (member + 0.5) / count,
    }))
  })
  turns.sort((a, b) => a.place - b.place || a.device - b.device)
  const times = arrivalsMs(turns.length, stage.rate, stage.arrival, seedOf(plan.seed, 'ramp', stageIndex))
  for (const [turn, { device }] of turns.entries()) {
    const actor = actors.get(device)
    if (actor) world.schedule.at(beginsAt + (times[turn] ?? 0), dueAt => connect(actor, world, dueAt))
  }
}

function storm(
  stage: Storm,
  stageIndex: number,
  beginsAt: number,
  actors: ReadonlyMap<number, Actor>,
  world: World,
): void {
  const concerned = new Set(stage.groups)
  for (const actor of actors.values()) {
    if (!concerned.has(actor.group.index)) continue
    if (chanceOf(world.seed, 'storm', stageIndex, actor.index) >= stage.share) continue
    const after = stage.overMs * chanceOf(world.seed, 'storm time', stageIndex, actor.index)
    world.schedule.at(beginsAt + after, () => actor.session?.cut())
  }
}
