// `sim agent` as a function: makes the identity of an agent or coordinator, or lends this machine to coordinators until Ctrl-C.
// Never throws for what a user can cause.
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { readFingerprint, readHostAndPort } from './agents/addresses.ts'
import { IDENTITY_FILE, makeAgentIdentity, readAgentIdentity } from './agents/identity.ts'
import type { CommandContext, ExitCode } from './command-context.ts'
import { BadUsage } from './failure.ts'
import { guarded } from './scenario-run.ts'
import { chooseRuntime, type RuntimeName } from './workers/runtime.ts'

export type AgentFlags = {
  init?: boolean
  listen?: string
  trust?: string
  agentIdentity?: string
  sources?: string
  workers?: string
  runtime?: RuntimeName
}

const WORKERS_MAX = 64

export async function runAgent(flags: AgentFlags, context: CommandContext): Promise<ExitCode> {
  return guarded(context, async () => {
    const { stdout, stderr, signal } = context
    const file = flags.agentIdentity ?? IDENTITY_FILE
    if (flags.init) {
      const identity = existsSync(file) ? readAgentIdentity(file) : await makeAgentIdentity(file)
      stdout.write(`${identity.fingerprint}\n`)
      return 0
    }
    const { where, ...settings } = settingsOf(flags)
    const identity = existsSync(file) ? readAgentIdentity(file) : await makeAgentIdentity(file)
    const runtime = await chooseRuntime(flags.runtime)
    if (runtime.why !== null) stderr.write(`note: devices run on Node: ${runtime.why}\n`)
    const { startAgent } = await import('./agents/agent.ts')
    const agent = await startAgent({
      ...settings,
      ...where,
      identity,
      runtime,
      version: context.version ?? '',
      say: text => void stderr.write(`${text}\n`),
    })
    const host = isIP(agent.host) === 6 ? `[${agent.host}]` : agent.host
    stdout.write(`agent listens on ${host}:${agent.port}, fingerprint ${identity.fingerprint}\n`)
    if (!signal.aborted) await once(signal, 'abort')
    await agent.close()
    return 0
  })
}

/** @throws BadUsage with every problem. */
function settingsOf({ listen = '127.0.0.1:7420', trust, sources, workers }: AgentFlags) {
  const problems: string[] = []
  const where = readHostAndPort(listen)
  if (!where) problems.push(`--listen: expected ADDRESS:PORT, got ${JSON.stringify(listen)}`)
  const trusted = (trust ?? '').split(',').flatMap(text => readFingerprint(text) ?? [])
  if (trust === undefined || trusted.length < trust.split(',').length) {
    problems.push(
      '--trust: expected the fingerprint of the coordinator, which `sim agent --init` prints there; several with commas',
    )
  }
  const addresses = sources === undefined ? [] : sources.split(',')
  for (const source of addresses) {
    if (isIP(source) === 0)
      problems.push(`--sources: expected IP addresses with commas, got ${JSON.stringify(source)}`)
  }
  const workersMax =
    workers === undefined ? Math.min(WORKERS_MAX, 2 * availableParallelism()) : Number(workers)
  if (!(Number.isInteger(workersMax) && workersMax >= 1 && workersMax <= WORKERS_MAX))
    problems.push(`--workers: expected a whole number from 1 to ${WORKERS_MAX}`)
  if (problems.length > 0 || !where) throw new BadUsage(problems)
  return { where, trusted, sources: addresses, workersMax }
}
