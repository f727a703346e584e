// A scenario with more or fewer devices, another rate or another length: what happens in it keeps its place between the
// stages. Pure.
import { BadUsage } from '../failure.ts'
import { ms } from './amounts.ts'
import type { Plan, StagePlan } from './plan.ts'
import { stageTimes } from './stage-times.ts'

/** As they come from the command line: text, or absent. */
export type SizeFlags = { devices?: string; rate?: string; duration?: string }

const DEVICES_MAX = 1_000_000

/** @throws BadUsage with every problem. */
export function resized(plan: Plan, flags: SizeFlags): Plan {
  const problems: string[] = []
  const devices = wholeOf('--devices', flags.devices, problems)
  const rate = rateOf(flags.rate, problems)
  const durationMs = durationOf(flags.duration, problems)
  const honest = plan.groups.filter(({ fault }) => fault === null).length
  if (devices !== null && devices < honest) {
    problems.push(`--devices: expected at least ${honest}, one for each group without a fault`)
  }
  if (problems.length > 0) throw new BadUsage(problems)
  const groups = devices === null ? plan.groups : sharedOut(plan.groups, devices)
  const stages = plan.stages
    .map(stage => (rate !== null && stage.kind === 'ramp' ? { ...stage, rate } : stage))
    .map((stage, _index, all) => (durationMs === null ? stage : stretched(stage, durationMs / lengthOf(all))))
  const sized = { ...plan, groups, stages }
  const at = timeIn(plan, sized)
  return {
    ...sized,
    actions: plan.actions.map(action => ({ ...action, atMs: at(action.atMs) })),
    asserts: plan.asserts.map(one => (one.atMs === null ? one : { ...one, atMs: at(one.atMs) })),
  }
}

/** In proportion, at least one each; groups with a fault stay as they are. */
function sharedOut(groups: Plan['groups'], devices: number): Plan['groups'] {
  const honest = groups.filter(({ fault }) => fault === null)
  const before = honest.reduce((sum, { count }) => sum + count, 0)
  const counts = new Map(
    honest.map(group => [group, Math.max(1, Math.floor((group.count * devices) / before))] as const),
  )
  const sum = (): number => [...counts.values()].reduce((all, one) => all + one, 0)
  const largest = [...honest].toSorted((a, b) => b.count - a.count)
  for (let turn = 0; sum() !== devices; turn++) {
    const group = largest[turn % largest.length] as Plan['groups'][number]
    const count = counts.get(group) ?? 1
    counts.set(group, sum() < devices ? count + 1 : Math.max(1, count - 1))
  }
  return groups.map(group => ({ ...group, count: counts.get(group) ?? group.count }))
}

/** Of the stages with a length of their own; ramps last as long as devices and rate ask for. */
function lengthOf(stages: readonly StagePlan[]): number {
  return Math.max(
    1,
    stages.reduce((sum, { forMs }) => sum + (forMs ?? 0), 0),
  )
}

function stretched(stage: StagePlan, by: number): StagePlan {
  if (stage.forMs === null) return stage
  return { ...stage, forMs: Math.max(1, Math.round(stage.forMs * by)) }
}

/** The new place of a time: as far into its stage as before. */
function timeIn(before: Plan, after: Plan): (atMs: number) => number {
  const from = stageTimes(before)
  const to = stageTimes(after)
  const begins = (times: typeof from, stage: number): number => times.beginsAtMs[stage] ?? times.endsAtMs
  return atMs => {
    const stage = from.beginsAtMs.findLastIndex(begin => begin <= atMs)
    const begin = begins(from, stage)
    const length = begins(from, stage + 1) - begin
    const share = length === 0 ? 0 : Math.min(1, (atMs - begin) / length)
    return Math.round(begins(to, stage) + share * (begins(to, stage + 1) - begins(to, stage)))
  }
}

function wholeOf(flag: string, text: string | undefined, problems: string[]): number | null {
  if (text === undefined) return null
  const value = /^\d+$/.test(text) ? Number(text) : 0
  if (value >= 1 && value <= DEVICES_MAX) return value
  problems.push(`${flag}: expected a whole number from 1 to ${DEVICES_MAX}, got ${JSON.stringify(text)}`)
  return null
}

function rateOf(text: string | undefined, problems: string[]): number | null {
  if (text === undefined) return null
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0
  if (value > 0 && value <= 100_000) return value
  problems.push(`--rate: expected devices per second, got ${JSON.stringify(text)}`)
  return null
}

function durationOf(text: string | undefined, problems: string[]): number | null {
  if (text === undefined) return null
  const value = /^\d+(\.\d+)?(ms|s|m|h)$/.test(text) ? ms(text) : 0
  if (value >= 1) return value
  problems.push(`--duration: expected a time such as 500ms, 5s, 2m or 1h, got ${JSON.stringify(text)}`)
  return null
}
