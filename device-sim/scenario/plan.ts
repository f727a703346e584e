// A scenario as the run needs it: numbers instead of words, every default filled in, every name checked.
// Pure. Refuses to know where the file came from; faults carry the path that they are at.

import { isIP } from 'node:net'
import { parseDurationMs } from '../duration.ts'
import { type FaultKind, faults } from '../faults/kinds.ts'
import type { KeyType } from '../identity.ts'
import type { LinkKind, Qos } from '../links/session.ts'
import type { Expectation } from '../results/summary.ts'
import { type Expression, groupMetricNames, parseExpression } from './expression.ts'
import type { PayloadPlan } from './payload-schema.ts'
import type { Fault, Path } from './read.ts'
import type { RawAction, RawGroup, RawStage, Scenario } from './schema.ts'
import { variablesOf } from './topic.ts'

export type PublishPlan = {
  topic: string
  everyMs: number
  jitter: number
  qos: Qos
  retain: boolean
  payload: PayloadPlan
  numbered: boolean
}

export type GroupPlan = {
  name: string
  count: number
  /** The number of the first device, as IDs show it. */
  first: number
  idTemplate: string
  registryGroups: string[]
  attributes: Record<string, string>
  keyType: KeyType
  link: LinkKind
  clientIdTemplate: string
  session: { clean: boolean; keepAliveSeconds: number; resumeTls: boolean }
  publish: PublishPlan[]
  subscribe: { filter: string; qos: Qos }[]
  answer: { topic: string; qos: Qos; afterMs: number } | null
  dutyCycle: { awakeMs: number; asleepMs: number } | null
  reconnect: { firstMs: number; mostMs: number; jitter: number; never: boolean }
  fault: FaultKind | null
  clockSkewMs: number
  directory: string | null
  expect: Expectation
}

export type StagePlan =
  | { name: string; kind: 'ramp'; groups: number[]; rate: number; arrival: Arrival; forMs: number | null }
  | { name: string; kind: 'steady' | 'pause'; groups: number[]; forMs: number }
  | { name: string; kind: 'storm'; groups: number[]; forMs: number; share: number; overMs: number }
export type Arrival = { of: 'constant' | 'poisson' } | { of: 'burst'; size: number }

export type ActionPlan = {
  atMs: number
  verb: RawAction['do']
  group: number | null
  share: number
  issuer: string | null
}
export type AssertPlan = { atMs: number | null; group: number | null; expression: Expression }

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

/** The plan, or everything that does not fit together. */
export function planOf(scenario: Scenario): { plan: Plan; faults: [] } | { plan: null; faults: Fault[] } {
  const found: Fault[] = []
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

type SayFault = (path: Path, message: string) => void

function groupPlan(raw: RawGroup, path: Path, scenario: Scenario, fault: SayFault): GroupPlan {
  const idTemplate = raw.id ?? `sim-${raw.name}-\${n}`
  const check = (text: string, at: Path, extra: readonly string[] = []): void => {
    for (const variable of variablesOf(text)) {
      const [kind = '', name = ''] = variable.split(/[.:](.*)/s)
      if (['device', 'n', 'group', ...extra].includes(variable)) continue
      if (kind === 'attr' && variable.startsWith('attr.') && name in (raw.attributes ?? {})) continue
      const known = scenario.groups.some(group => group.name === name)
      if (/^(any|each):/.test(variable) && extra.length === 0 && known) continue
      fault(at, `there is no \${${variable}}`)
    }
  }
  if (!idTemplate.includes(`\${n}`) && raw.count > 1) fault([...path, 'id'], `expected \${n} in it`)
  if (!/^[A-Za-z0-9._-]{1,110}$/.test(idTemplate.replaceAll(/\$\{n\}/g, ''))) {
    fault([...path, 'id'], `expected A-Z a-z 0-9 . _ - and \${n}`)
  }
  check(raw.clientId ?? '', [...path, 'clientId'], ['run'])
  for (const [index, one] of (raw.publish ?? []).entries()) {
    check(one.topic, [...path, 'publish', index, 'topic'])
    if (ms(one.every) < 1) fault([...path, 'publish', index, 'every'], 'expected at least 1ms')
  }
  for (const [index, one] of (raw.subscribe ?? []).entries()) {
    check(one.filter, [...path, 'subscribe', index, 'filter'], ['run'])
  }
  if (raw.answer) check(raw.answer.topic, [...path, 'answer', 'topic'])
  if (raw.fault === 'clock-skew' && raw.clockSkew === undefined) {
    fault([...path, 'clockSkew'], 'expected with fault clock-skew')
  }
  const { session, reconnect, answer, dutyCycle } = raw
  return {
    name: raw.name,
    count: raw.count,
    first: raw.first ?? 1,
    idTemplate,
    registryGroups: raw.registryGroups ?? [],
    attributes: raw.attributes ?? {},
    keyType: raw.keyType ?? 'p256',
    link: raw.link ?? 'lean',
    clientIdTemplate: raw.clientId ?? `\${device}`,
    session: {
      clean: session?.clean ?? true,
      keepAliveSeconds: Math.round(ms(session?.keepAlive ?? '60s') / 1000),
      resumeTls: session?.resumeTls ?? false,
    },
    publish: (raw.publish ?? []).map(one => ({
      topic: one.topic,
      everyMs: ms(one.every),
      jitter: shareOf(one.jitter, 0.1),
      qos: (one.qos ?? 0) as Qos,
      retain: one.retain ?? false,
      payload: one.payload ?? { sine: { mean: 21, amplitude: 4, period: '10m', noise: 0.2 } },
      numbered: one.numbered ?? true,
    })),
    subscribe: (raw.subscribe ?? []).map(one => ({ filter: one.filter, qos: (one.qos ?? 0) as Qos })),
    answer: answer
      ? { topic: answer.topic, qos: (answer.qos ?? 0) as Qos, afterMs: ms(answer.after ?? '0s') }
      : null,
    dutyCycle: dutyCycle ? { awakeMs: ms(dutyCycle.awake), asleepMs: ms(dutyCycle.asleep) } : null,
    reconnect: {
      firstMs: ms(reconnect?.first ?? '1s'),
      mostMs: ms(reconnect?.most ?? '30s'),
      jitter: shareOf(reconnect?.jitter, 0.75),
      never: reconnect?.never ?? false,
    },
    fault: raw.fault ?? null,
    clockSkewMs: skewMs(raw.clockSkew),
    directory: raw.directory ?? null,
    expect: raw.expect ?? (raw.fault ? faults[raw.fault].expect : 'admitted'),
  }
}

function stagePlan(raw: RawStage, groups: number[], path: Path, fault: SayFault): StagePlan {
  const name = raw.name ?? raw.kind
  const onlyFor = (kind: string, ...keys: (keyof RawStage)[]): void => {
    if (raw.kind === kind) return
    for (const key of keys) if (raw[key] !== undefined) fault([...path, key], `only a ${kind} has it`)
  }
  onlyFor('ramp', 'rate', 'arrival', 'burst')
  onlyFor('storm', 'share', 'over')
  if (raw.kind !== 'ramp' && raw.for === undefined) fault(path, 'for is missing')
  const forMs = raw.for === undefined ? null : ms(raw.for)
  if (raw.kind === 'ramp') {
    const kind = raw.arrival ?? 'constant'
    const arrival: Arrival = kind === 'burst' ? { of: kind, size: raw.burst ?? 10 } : { of: kind }
    return { name, kind: 'ramp', groups, rate: raw.rate ?? 50, arrival, forMs }
  }
  if (raw.kind === 'storm') {
    const overMs = ms(raw.over ?? '0s')
    return { name, kind: 'storm', groups, forMs: forMs ?? 0, share: shareOf(raw.share, 1), overMs }
  }
  return { name, kind: raw.kind, groups, forMs: forMs ?? 0 }
}

function ms(text: string): number {
  return parseDurationMs(text) ?? 0
}

function skewMs(text: string | undefined): number {
  if (text === undefined) return 0
  const sign = text.startsWith('-') ? -1 : 1
  const size = text.replace('-', '')
  return sign * (size.endsWith('d') ? Number(size.slice(0, -1)) * 86_400_000 : ms(size))
}

function shareOf(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : Number(text.slice(0, -1)) / 100
}
