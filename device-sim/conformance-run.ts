// `sim conformance` as a function: a target in, a table or JSON of clauses out, an exit code.
// Never throws for what a user can cause.
import { styleText } from 'node:util'
import type { CommandContext, ExitCode } from './command-context.ts'
import { conformanceJunit } from './conformance/junit.ts'
import { ClauseFailed } from './conformance/peer.ts'
import { type ClauseResult, type Identity, playClauses } from './conformance/run.ts'
import { createTrial } from './conformance/trial.ts'
import { parseDurationMs } from './duration.ts'
import { BadUsage, RunFailed } from './failure.ts'
import { plain, protocolText } from './output/figures.ts'
import { requireWritable, writeWhole } from './output/files.ts'
import { prepareParticipants } from './run/participants.ts'
import { findRunTarget, type RunFlags } from './run/target.ts'
import { planOf } from './scenario/plan.ts'
import { protocolFlag } from './scenario/protocol-names.ts'
import { filled } from './scenario/topic.ts'
import { guarded, wholeFlag } from './scenario-run.ts'
import type { Broker } from './target.ts'

export type ConformanceFlags = RunFlags & {
  mqttVersion?: string
  only?: string
  patience?: string
  topics?: string
  enrollConcurrency?: string
  json?: string
  junit?: string
  output?: string
}

/** Client IDs, and certificates where each has one: two for each of six clauses at once. */
const IDENTITIES = 12
const PATIENCE_DEFAULT = '2s'
const OPENING_PREFIX = `devices/\${device}/conformance/`

export type ConformanceSummary = {
  summary: 'rollcall-sim-conformance'
  version: 1
  broker: string
  at: string
  tool: { version: string; node: string }
  passed: number
  failed: number
  notApplicable: number
  clauses: ClauseResult[]
}

export async function runConformance(flags: ConformanceFlags, context: CommandContext): Promise<ExitCode> {
  return guarded(context, async () => {
    const { stdout, stderr, env, signal } = context
    requireWritable({ '--json': flags.json, '--junit': flags.junit })
    const patienceMs = parseDurationMs(flags.patience ?? PATIENCE_DEFAULT)
    if (!patienceMs) throw new BadUsage([`--patience: expected a time such as 2s, got ${flags.patience}`])
    const only = protocolFlag(flags.mqttVersion)
    if (only === 3) throw new BadUsage(['-V: clauses of 3.1.1 and 5 are played, not of 3.1'])
    const versions = only === null ? ([4, 5] as const) : [only]
    const { plan } = planOf({
      name: 'conformance',
      groups: [{ name: 'conformance', count: IDENTITIES }],
      stages: [{ kind: 'steady', for: '10m' }],
    })
    if (!plan) throw new Error('the plan of a conformance run is valid')
    const target = findRunTarget(plan, flags, env, null)
    const { broker } = target
    const { members, api } = await prepareParticipants(plan, target, {
      signal,
      enrollConcurrency: wholeFlag('--enroll-concurrency', flags.enrollConcurrency, 16, 1, 256),
      onProgress: () => {},
    })
    const identities = members.map(({ id, n, clientId, credentials }): Identity => {
      const fill = (text: string): string =>
        filled(text, { device: id, n, group: 'conformance', attributes: {} })
      return {
        clientId,
        credentials,
        username: broker.username === null ? null : fill(broker.username),
        password: broker.password === null ? null : fill(broker.password),
        prefix: fill(flags.topics?.replaceAll('%c', id) ?? OPENING_PREFIX),
      }
    })
    try {
      await requireAdmission(broker, identities[0] as Identity, versions, patienceMs)
      const results = await playClauses({
        broker,
        identities,
        versions,
        patienceMs,
        only: flags.only,
        signal,
        onProgress: (done, total) => {
          if (stderr.isTTY) stderr.write(`\rclause ${done} of ${total}${done === total ? '\n' : ''}`)
        },
      })
      if (results.length === 0)
        throw new BadUsage([`--only: no clause has ${flags.only} in its number or text`])
      const summary = summaryOf(results, broker.url, context.version ?? '')
      if (flags.json !== undefined) await writeWhole(flags.json, `${JSON.stringify(summary, null, 2)}\n`)
      if (flags.junit !== undefined) await writeWhole(flags.junit, conformanceJunit(summary))
      stdout.write(flags.output === 'json' ? `${JSON.stringify(summary)}\n` : tableOf(summary, stdout))
      if (signal.aborted) return 1
      return summary.failed > 0 ? 99 : 0
    } finally {
      api?.close()
    }
  })
}

/** Where an ordinary client is not let in, clauses say nothing. */
async function requireAdmission(
  broker: Broker,
  identity: Identity,
  versions: readonly (4 | 5)[],
  patienceMs: number,
): Promise<void> {
  for (const version of versions) {
    const trial = createTrial({ broker, patienceMs }, version, identity, identity.prefix, null)
    try {
      await trial.connect()
    } catch (error) {
      if (!(error instanceof ClauseFailed)) throw error
      const text = `${broker.url}: a client of ${protocolText(version)} is not let in: ${error.message}`
      throw new RunFailed(text, { hint: 'try -V for one version, or another way to authenticate' })
    } finally {
      await trial.end()
    }
  }
}

function summaryOf(clauses: ClauseResult[], broker: string, version: string): ConformanceSummary {
  const count = (outcome: ClauseResult['outcome']): number =>
    clauses.filter(one => one.outcome === outcome).length
  return {
    summary: 'rollcall-sim-conformance',
    version: 1,
    broker,
    at: new Date().toISOString(),
    tool: { version, node: process.version },
    passed: count('passed'),
    failed: count('failed'),
    notApplicable: count('not applicable'),
    clauses,
  }
}

const signs = { passed: '✓', failed: '✗', 'not applicable': '–' } as const
const styles = { passed: 'green', failed: 'red', 'not applicable': 'dim' } as const

function tableOf(summary: ConformanceSummary, stream: NodeJS.WriteStream): string {
  const { clauses, broker, passed, failed, notApplicable } = summary
  const lines: string[] = []
  for (const version of [4, 5] as const) {
    const own = clauses.filter(clause => clause.version === version)
    if (own.length === 0) continue
    lines.push('', styleText('bold', `${protocolText(version)} at ${plain(broker)}`, { stream }))
    for (const { id, what, outcome, reason } of own) {
      const why = reason === null ? '' : `: ${plain(reason)}`
      lines.push(styleText(styles[outcome], `${signs[outcome]} ${id.padEnd(14)} ${what}${why}`, { stream }))
    }
  }
  lines.push('', `${passed} passed, ${failed} failed, ${notApplicable} not applicable`, '')
  return lines.slice(1).join('\n')
}
