// A scenario as the run needs it: numbers instead of words, every default filled in, every name checked.
// Pure. Does not know where the file came from; problems carry their path.

import { isIP } from 'node:net'
import { ms, shareOf } from './amounts.ts'
import { type Expression, groupMetricNames, parseExpression } from './expression.ts'
import { type GroupPlan, groupPlan, type ReportProblem } from './group-plan.ts'
import type { RawAction, RawStage, Scenario } from './schema.ts'
import type { Path, ScenarioProblem } from './shape.ts'

export type { GroupPlan, PropertiesPlan, PublishPlan, WillPlan } from './group-plan.ts'

export type StagePlan =
  | {
      name: string
      kind: 'ramp'
      groups: number[]
      rate: number
      arrival: ArrivalProcess
      /** Its devices publish once it is over. */
      quiet: boolean
      forMs: number | null
    }
  | { name: string; kind: 'steady' | 'pause'; groups: number[]; forMs: number }
  | { name: string; kind: 'storm'; groups: number[]; forMs: number; share: number; overMs: number }
export type ArrivalProcess = { of: 'constant' | 'poisson' } | { of: 'burst'; size: number }

export type ActionPlan = {
  atMs: number
  verb: RawAction['do']
  group: number | null
  share: number
  issuer: string | null
}
type AssertPlan = { atMs: number | null; group: number | null; expression: Expression }

export type Plan = {
  name: string
  description: string
  seed: number
  target: NonNullable<Scenario['target']>
  workers: number | null
  sources: string[]
  connectTimeoutMs: number
  graceMs: number
  groups: GroupPlan[]
  stages: StagePlan[]
  actions: ActionPlan[]
  asserts: AssertPlan[]
  thresholds: Expression[]
}

/** The plan, or every problem. */
export function planOf(
  scenario: Scenario,
): { plan: Plan; faults: [] } | { plan: null; faults: ScenarioProblem[] } {
  const found: ScenarioProblem[] = []
  const fault = (path: Path, message: string): void => void found.push({ path, message })
  const groupIndex = (name: string | undefined, path: Path): number | null => {
    if (name === undefined) return null
    const index = scenario.groups.findIndex(group => group.name === name)
    if (index < 0) fault(path, `there is no group ${name}`)
    return index < 0 ? null : index
  }
  const groups = scenario.groups.map((raw, index) => groupPlan(raw, ['groups', index], scenario, fault))
  const stages = scenario.stages.map((raw, index) => {
    const path = ['stages', index]
    const all = scenario.groups.map((_, group) => group)
    const named = raw.groups?.flatMap(
      (name, position) => groupIndex(name, [...path, 'groups', position]) ?? [],
    )
    return stagePlan(raw, named ?? all, path, fault)
  })
  const actions = (scenario.actions ?? []).map((raw, index): ActionPlan => {
    const path = ['actions', index]
    if (raw.group === undefined && !(raw.issuer && raw.do.endsWith('issuer'))) {
      fault(path, 'expected a group')
    }
    return {
      atMs: ms(raw.at),
      verb: raw.do,
      group: groupIndex(raw.group, [...path, 'group']),
      share: shareOf(raw.share, 1),
      issuer: raw.issuer ?? null,
    }
  })
  const expression = (text: string, path: Path, names?: readonly string[]): Expression | null => {
    const read = parseExpression(text, names)
    if (typeof read !== 'string') return read
    fault(path, read)
    return null
  }
  const asserts = (scenario.assert ?? []).flatMap((raw, index): AssertPlan[] => {
    const path = ['assert', index]
    const group = groupIndex(raw.group, [...path, 'group'])
    const names = raw.group === undefined ? undefined : groupMetricNames
    const read = expression(raw.that, [...path, 'that'], names)
    return read ? [{ atMs: raw.at === undefined ? null : ms(raw.at), group, expression: read }] : []
  })
  const thresholds = (scenario.thresholds ?? []).flatMap(
    (text, index) => expression(text, ['thresholds', index]) ?? [],
  )
  for (const [index, source] of (scenario.sources ?? []).entries()) {
    if (isIP(source) === 0) fault(['sources', index], `expected an IP address, got ${source}`)
  }
  for (const [index, { name }] of scenario.groups.entries()) {
    if (scenario.groups.findIndex(other => other.name === name) !== index) {
      fault(['groups', index, 'name'], `${name} names another group already`)
    }
  }
  if (found.length > 0) return { plan: null, faults: found }
  return {
    faults: [],
    plan: {
      name: scenario.name,
      description: scenario.description ?? '',
      seed: scenario.seed ?? 1,
      target: scenario.target ?? {},
      workers: scenario.workers ?? null,
      sources: scenario.sources ?? [],
      connectTimeoutMs: ms(scenario.connectTimeout ?? '15s'),
      graceMs: ms(scenario.grace ?? '2s'),
      groups,
      stages,
      actions,
      asserts,
      thresholds,
    },
  }
}

function stagePlan(raw: RawStage, groups: number[], path: Path, fault: ReportProblem): StagePlan {
  const name = raw.name ?? raw.kind
  const onlyFor = (kind: string, ...keys: (keyof RawStage)[]): void => {
    if (raw.kind === kind) return
    for (const key of keys) if (raw[key] !== undefined) fault([...path, key], `only a ${kind} has it`)
  }
  onlyFor('ramp', 'rate', 'arrival', 'burst', 'quiet')
  onlyFor('storm', 'share', 'over')
  if (raw.kind !== 'ramp' && raw.for === undefined) fault(path, 'for is missing')
  const forMs = raw.for === undefined ? null : ms(raw.for)
  if (raw.kind === 'ramp') {
    const kind = raw.arrival ?? 'constant'
    const arrival: ArrivalProcess = kind === 'burst' ? { of: kind, size: raw.burst ?? 10 } : { of: kind }
    return { name, kind: 'ramp', groups, rate: raw.rate ?? 50, arrival, quiet: raw.quiet ?? false, forMs }
  }
  if (raw.kind === 'storm') {
    const overMs = ms(raw.over ?? '0s')
    return { name, kind: 'storm', groups, forMs: forMs ?? 0, share: shareOf(raw.share, 1), overMs }
  }
  return { name, kind: raw.kind, groups, forMs: forMs ?? 0 }
}
