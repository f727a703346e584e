// `sim run` and `sim check` as functions: a file or preset and flags in, words and data out, an exit code.
// Never throws for what a user can cause.
import type { CommandContext, ExitCode } from './command-context.ts'
import { BadUsage, RunFailed } from './failure.ts'
import { requireWritable, writeWhole } from './output/files.ts'
import { type OutputFlags, openOutputs } from './output/outputs.ts'
import { repeatsText } from './output/repeats-text.ts'
import { summaryText } from './output/summary-text.ts'
import { createRunListeners } from './results/run-listeners.ts'
import type { Repeats, Summary } from './results/summary.ts'
import { type AgentsFlags, readAgents } from './run/agents-target.ts'
import { FAIL_FAST_DEFAULT } from './run/fail-fast.ts'
import { runScenario } from './run/run.ts'
import { findRunTarget, type RunFlags } from './run/target.ts'
import { readPids } from './run/watched-process.ts'
import {
  type CompatibilityFlags,
  type CompatibilityVerb,
  compatibilityPlan,
  isOn,
} from './scenario/compatibility-flags.ts'
import { flagsLike } from './scenario/like.ts'
import type { Source } from './scenario/load.ts'
import { protocolFlag } from './scenario/protocol-names.ts'
import { type QuickFlags, quickPlan } from './scenario/quick.ts'
import { resized, type SizeFlags } from './scenario/resize.ts'
import { requireConsent } from './target.ts'
import { chooseRuntime, type RuntimeName, type WorkerRuntime } from './workers/runtime.ts'

export type ScenarioFlags = RunFlags &
  OutputFlags &
  AgentsFlags & {
    failFast?: string | boolean
    output?: string
    yes?: boolean
    seed?: string
    workers?: string
    /** That workers here run on. */
    runtime?: RuntimeName
    operator?: string
    mqttVersion?: string
    enrollConcurrency?: string
    /** A service whose limits the plan must keep. */
    like?: string
    /** Runs of the same thing. */
    repeat?: string
    watchPid?: string
  }

export async function runScenarioFile(
  nameOrFile: string,
  flags: ScenarioFlags & SizeFlags,
  context: CommandContext,
): Promise<ExitCode> {
  return guarded(context, async () => {
    const { loadScenario } = await import('./scenario/load.ts')
    const source = loadScenario(nameOrFile, protocolFlag(flags.mqttVersion))
    return carryOut({ ...source, plan: resized(source.plan, flags) }, flags, context)
  })
}

/** `sim` with flags alone: a fleet of one kind, and rogues. */
export async function runQuick(
  quick: QuickFlags,
  flags: ScenarioFlags,
  context: CommandContext,
): Promise<ExitCode> {
  return guarded(context, () =>
    carryOut({ plan: quickPlan(quick), name: 'flags', file: null }, flags, context),
  )
}

/** `sim conn|pub|sub` with flags as emqtt-bench has them. */
export async function runCompatible(
  verb: CompatibilityVerb,
  compatibility: CompatibilityFlags,
  flags: ScenarioFlags,
  context: CommandContext,
): Promise<ExitCode> {
  return guarded(context, () => {
    const plan = compatibilityPlan(verb, compatibility)
    const target = compatibilityTarget(compatibility, flags)
    return carryOut({ plan, name: `sim ${verb}`, file: null }, { ...flags, ...target }, context)
  })
}

/** The broker of `-h`, `-p`, `-S` and `--ws`. A certificate, or Rollcall's API, means TLS. @throws BadUsage */
function compatibilityTarget(
  { host, port = '1883', ssl, ws, path }: CompatibilityFlags,
  flags: ScenarioFlags,
): Pick<ScenarioFlags, 'broker' | 'identities'> {
  if (host === undefined) return {}
  if (host.includes(',')) throw new BadUsage(['-h: expected one host; run one command for each of several'])
  const { certificate, data, api, directory, est } = flags
  const proven = [certificate, data, api, directory, est].some(given => given !== undefined)
  const tls = isOn(ssl) || proven
  const scheme = isOn(ws) ? (tls ? 'wss' : 'ws') : tls ? 'mqtts' : 'mqtt'
  const suffix = isOn(ws) ? (path ?? '') : ''
  const broker = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}${suffix}`
  return { broker, ...(tls && !proven ? { identities: 'none' } : {}) }
}

/** @throws BadUsage, RunFailed */
async function carryOut(source: Source, flags: ScenarioFlags, context: CommandContext): Promise<ExitCode> {
  const { stdout, stderr } = context
  const format = flags.output ?? 'table'
  const times = wholeFlag('--repeat', flags.repeat, 1, 1, 1_000)
  if (flags.runtime !== undefined && flags.agents !== undefined)
    throw new BadUsage(['--runtime: is chosen by each agent itself: sim agent --runtime'])
  const runtime = await chooseRuntime(flags.runtime)
  if (runtime.why !== null) stderr.write(`note: devices run on Node: ${runtime.why}\n`)
  if (times === 1) {
    const { summary, troubles } = await runOnce(source, flags, runtime, context)
    stdout.write(await rendered(summary, format, () => summaryText(summary, stdout)))
    return exitCodeOf([summary], troubles, stderr)
  }
  requireRepeatable(flags)
  const { json, ...each } = flags
  const runs: Summary[] = []
  const troubles: string[] = []
  for (let run = 1; run <= times && !context.signal.aborted; run++) {
    stderr.write(`run ${run} of ${times}\n`)
    const ran = await runOnce(source, each, runtime, context)
    runs.push(ran.summary)
    troubles.push(...ran.troubles)
  }
  const repeats: Repeats = { summary: 'rollcall-sim-repeats', version: 1, runs }
  if (json !== undefined) {
    const written = writeWhole(json, `${JSON.stringify(repeats, null, 2)}\n`)
    await written.catch(error => troubles.push(`--json: ${json} is not whole: ${error.message}`))
  }
  stdout.write(await rendered(repeats, format, () => repeatsText(repeats)))
  return exitCodeOf(runs, troubles, stderr)
}

/** @throws BadUsage with every output that is of one run. */
function requireRepeatable(flags: ScenarioFlags): void {
  requireWritable({ '--json': flags.json })
  const single = { report: '--report', samples: '--samples', csv: '--csv', junit: '--junit' } as const
  const given = Object.entries(single).filter(([name]) => flags[name as keyof typeof single] !== undefined)
  const named = [...given.map(([, flag]) => flag), ...(flags.githubSummary ? ['--github-summary'] : [])]
  if (named.length > 0) throw new BadUsage(named.map(flag => `${flag}: is of one run, so not with --repeat`))
}

function exitCodeOf(
  runs: readonly Summary[],
  troubles: readonly string[],
  stderr: CommandContext['stderr'],
): ExitCode {
  for (const trouble of troubles) stderr.write(`error: ${trouble}\n`)
  const codes = runs.map(({ verdict }) => verdict.exitCode)
  if (codes.includes(99)) return 99
  return codes.includes(1) || troubles.length > 0 ? 1 : 0
}

/** @throws BadUsage, RunFailed */
async function runOnce(
  { plan, name, file }: Source,
  given: ScenarioFlags,
  runtime: WorkerRuntime,
  context: CommandContext,
): Promise<{ summary: Summary; troubles: string[] }> {
  const { env, signal, timeUp } = context
  const flags = given.like === undefined ? given : flagsLike(given.like, plan, given)
  const target = findRunTarget(plan, flags, env, file)
  const agents = readAgents(flags, plan, target.broker)
  const watchedPids = readPids(flags.watchPid)
  const devices = plan.groups.reduce((sum, { count }) => sum + count, 0)
  requireConsent({ devices, yes: flags.yes ?? false }, target.broker)
  const listeners = createRunListeners()
  const outputs = await openOutputs(flags, context)
  for (const listener of outputs.listeners) listeners.listen(listener)
  let summary: Summary | null = null
  let troubles: string[] = []
  try {
    summary = await runScenario({
      plan: {
        ...plan,
        seed: wholeFlag('--seed', flags.seed, plan.seed, 0, 4_294_967_295),
        workers: flags.workers === undefined ? plan.workers : wholeFlag('--workers', flags.workers, 1, 1, 64),
      },
      source: name,
      target,
      listeners,
      signal,
      ...(timeUp === undefined ? {} : { timeUp }),
      agents,
      runtime,
      watchedPids,
      operatorCommand: flags.operator ?? null,
      failFast: failFastOf(flags.failFast),
      enrollConcurrency: wholeFlag('--enroll-concurrency', flags.enrollConcurrency, 16, 1, 256),
      version: context.version ?? '',
    })
  } finally {
    troubles = await outputs.close(summary)
  }
  return { summary, troubles }
}

/** Checks whether a scenario can be run, without running it. */
export async function checkScenario(nameOrFile: string, context: CommandContext): Promise<ExitCode> {
  return guarded(context, async () => {
    const { loadScenario } = await import('./scenario/load.ts')
    const { plan } = loadScenario(nameOrFile)
    const devices = plan.groups.reduce((sum, { count }) => sum + count, 0)
    context.stdout.write(
      `${nameOrFile}: ${devices} devices in ${plan.groups.length} groups, ${plan.stages.length} stages\n`,
    )
    return 0
  })
}

/** Words on stderr and an exit code for what a user can cause. */
export async function guarded({ stderr }: CommandContext, work: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BadUsage) {
      for (const problem of error.problems) stderr.write(`error: ${problem}\n`)
      return 2
    }
    if (!(error instanceof RunFailed)) throw error
    stderr.write(`error: ${error.message}\n`)
    if (error.hint) stderr.write(`hint: ${error.hint}\n`)
    return 1
  }
}

async function rendered(result: Summary | Repeats, format: string, text: () => string): Promise<string> {
  if (format === 'yaml') return (await import('yaml')).stringify(result)
  return format === 'table' ? text() : `${JSON.stringify(result)}\n`
}

/** `--no-fail-fast` is false. */
function failFastOf(flag: string | boolean | undefined): number {
  if (flag === false) return 0
  return wholeFlag(
    '--fail-fast',
    typeof flag === 'string' ? flag : undefined,
    FAIL_FAST_DEFAULT,
    1,
    1_000_000,
  )
}

/** @throws BadUsage */
export function wholeFlag(
  flag: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return fallback
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new BadUsage([`${flag}: expected a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`])
}
