// The summary of a run from all counts, and its verdict with every reason against it.
// Pure. Does not know how it was counted.
import { measuredText } from '../output/figures.ts'
import { countCauses } from '../results/causes.ts'
import { createHistogram, type Histogram } from '../results/histogram.ts'
import type { Population } from '../results/sample.ts'
import type { Samples } from '../results/samples.ts'
import { connectPhasesOf, connectsOf } from '../results/samples.ts'
import type {
  ActionResult,
  CheckResult,
  EnrollmentResult,
  RunEvent,
  RunFacts,
  Summary,
  ToolLimit,
  WronglyAdmitted,
} from '../results/summary.ts'
import { addUp, type GroupCounts, noPopulation, noTraffic } from '../results/tick.ts'

export type Findings = {
  wronglyAdmitted: WronglyAdmitted[]
  wronglyRefused: Summary['wronglyRefused']['first']
  actions: (Omit<ActionResult, 'cutMs'> & { cut: Histogram })[]
  checks: CheckResult[]
  events: RunEvent[]
  limits: ToolLimit[]
  /** Reasons for exit code 1. */
  troubles: string[]
}

export type OutcomeInput = {
  run: RunFacts
  endedAt: Date
  seconds: number
  interrupted: boolean
  enrollment: EnrollmentResult | null
  samples: Samples
  /** Of each group at the end of the run, before the devices disconnected. */
  populations: Population[]
  findings: Findings
  /** Null where no process was watched. */
  watched: Pick<NonNullable<Summary['watched']>, 'pids' | 'cpuSeconds' | 'rssMaxBytes'> | null
}

export function summaryOf(input: OutcomeInput): Summary {
  const { run, samples, findings, populations } = input
  const { counts, latencies, rssMaxBytes } = samples.total()
  const groups = counts.groups.map((group, index) => ({
    ...(run.groups[index] as RunFacts['groups'][number]),
    population: populations[index] ?? noPopulation(),
    connects: { ...group.connects, latencyMs: (latencies.connect[index] ?? createHistogram()).read() },
    refusals: group.refusals,
    wronglyAdmitted: group.wronglyAdmitted,
    wronglyRefused: group.wronglyRefused,
    unproven: group.unproven,
  }))
  const [qos0, qos1, qos2] = counts.traffic
  const all = counts.traffic.reduce(addUp, noTraffic())
  const messages = all.sent + all.received
  const summary: Omit<Summary, 'verdict'> = {
    summary: 'rollcall-sim-run',
    version: 1,
    run,
    endedAt: input.endedAt.toISOString(),
    seconds: thousandths(input.seconds),
    interrupted: input.interrupted,
    enrollment: input.enrollment,
    population: populations.reduce(addUp, noPopulation()),
    ...connectsOf(counts, latencies),
    wronglyAdmitted: {
      count: counts.groups.reduce((sum, group) => sum + group.wronglyAdmitted, 0),
      first: findings.wronglyAdmitted,
    },
    wronglyRefused: {
      count: counts.groups.reduce((sum, group) => sum + group.wronglyRefused, 0),
      first: findings.wronglyRefused,
    },
    failures: counts.groups.map(group => group.failures).reduce(addUp, {}),
    drops: counts.groups.map(group => group.drops).reduce(addUp, {}),
    reasons: counts.reasons,
    subscriptions: counts.subscriptions,
    traffic: { qos0, qos1, qos2 },
    connectPartsMs: connectPhasesOf(latencies),
    acknowledgeMs: latencies.acknowledge.read(),
    deliverMs: latencies.deliver.read(),
    answered: counts.answered,
    groups,
    actions: findings.actions.map(({ cut, ...action }) => ({ ...action, cutMs: cut.read() })),
    checks: findings.checks,
    events: findings.events,
    limits: findings.limits,
    tool: {
      cpuSeconds: thousandths(counts.cpuSeconds),
      cpuMicrosPerMessage: microsOf(counts.cpuSeconds, messages),
      rssMaxBytes,
      lateMs: latencies.late.read(),
    },
    watched: input.watched && {
      ...input.watched,
      cpuSeconds: thousandths(input.watched.cpuSeconds),
      cpuMicrosPerMessage: microsOf(input.watched.cpuSeconds, messages),
    },
  }
  return { ...summary, verdict: verdictOf(summary, findings.troubles, counts.groups) }
}

/** 99 where something happened that must not, else 1 where something was not carried out or proven. */
function verdictOf(
  summary: Omit<Summary, 'verdict'>,
  troubles: readonly string[],
  counted: readonly GroupCounts[] = [],
): Summary['verdict'] {
  const { wronglyAdmitted, wronglyRefused, checks, groups, actions } = summary
  const grave: string[] = []
  const light: string[] = []
  if (wronglyAdmitted.count > 0) {
    grave.push(
      `${wronglyAdmitted.count} × wrongly admitted${named(wronglyAdmitted.first.map(device => `${device.device} (${device.why || device.group}, ${device.how})`))}`,
    )
  }
  if (wronglyRefused.count > 0) {
    grave.push(
      `${wronglyRefused.count} × wrongly refused${named(wronglyRefused.first.map(device => `${device.device} (${device.saw})`))}`,
    )
  }
  const reached = groups.some(({ connects }) => connects.admitted + connects.refused > 0)
  for (const check of checks) {
    const { expression, observed } = check
    // A broker that no device reached is neither passed nor failed.
    const list = reached ? grave : light
    if (!check.passed) list.push(`${expression} (${measuredText(expression, observed)})`)
  }
  light.push(...troubles)
  const honestIn = groups.some(group => group.expect === 'admitted' && group.connects.admitted > 0)
  for (const [index, group] of groups.entries()) {
    const { name, expect, connects, refusals } = group
    if (expect === 'admitted' && connects.admitted === 0 && connects.attempts > 0) {
      const causes = counted[index] ? countCauses([counted[index]]) : ''
      light.push(`group ${name}: nobody reached the broker${causes === '' ? '' : ` (${causes})`}`)
    }
    if (expect !== 'refused' || connects.attempts === 0) continue
    if (Object.keys(refusals).length === 0 && group.wronglyAdmitted === 0)
      light.push(`group ${name}: no refusal was seen, nothing is proven`)
    else if (!honestIn) light.push(`group ${name}: no honest device was admitted, so refusals prove nothing`)
  }
  for (const { verb, group, failed } of actions) {
    if (failed > 0) light.push(`${verb} of ${group} failed for ${failed} devices`)
  }
  const exitCode = grave.length > 0 ? 99 : light.length > 0 ? 1 : 0
  return { passed: exitCode === 0, exitCode, breaches: [...grave, ...light] }
}

function named(names: readonly string[]): string {
  if (names.length === 0) return ''
  return `: ${names.slice(0, 3).join(', ')}${names.length > 3 ? ' …' : ''}`
}

function microsOf(cpuSeconds: number, messages: number): number | null {
  return messages === 0 ? null : thousandths((cpuSeconds * 1e6) / messages)
}

function thousandths(value: number): number {
  return Math.round(value * 1000) / 1000
}
