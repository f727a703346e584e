// Where a scenario's run goes: flags win over the environment, over `--data DIR`, over the scenario's own target.
// Nothing is contacted that none of them names. Refuses to know what happens there.
import { dirname, join, resolve } from 'node:path'
import { BadUsage } from '../failure.ts'
import type { Plan } from '../scenario/plan.ts'
import { type Broker, readCertificate, readEndpoints, readText, readUrl } from '../target.ts'
import { type EstTarget, readEst } from './est-target.ts'

export type { EstTarget } from './est-target.ts'

export type RunFlags = {
  broker?: string
  api?: string
  tokenFile?: string
  ca?: string
  data?: string
  keys?: string
  directory?: string
  est?: string
  estUsers?: string
  estBootstrap?: string
}

export type RunTarget = {
  broker: Broker
  /** Null where certificates come from a directory and no operator's interface was named. */
  api: { url: string; token: string } | null
  identities: Identities
  keysDir: string
}

type Identities =
  | { from: 'api' }
  /** `est` is null for that of the API. */
  | { from: 'est'; est: EstTarget | null }
  | { from: 'directory'; directory: string }

/** @throws BadUsage with everything that is missing or unreadable. */
export function findRunTarget(
  plan: Pick<Plan, 'target'>,
  flags: RunFlags,
  env: Record<string, string | undefined>,
  scenarioFile: string | null,
): RunTarget {
  const problems: string[] = []
  const own = plan.target
  const beside = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(scenarioFile === null ? '.' : dirname(scenarioFile), path)
  const { data } = flags
  const endpoints = data === undefined ? {} : readEndpoints(data, problems)
  const apiText =
    flags.api ?? env['ROLLCALL_API'] ?? endpoints.api ?? own.api ?? (data && 'https://127.0.0.1:8443')
  const api = apiText ? readUrl('--api', apiText, 'https:', problems) : null
  const brokerText = flags.broker ?? endpoints.mqtts ?? own.broker ?? (api && `mqtts://${api.hostname}:8883`)
  const tokenFile =
    flags.tokenFile ?? env['ROLLCALL_TOKEN_FILE'] ?? inside(data, 'admin.token') ?? beside(own.tokenFile)
  const caFile = flags.ca ?? env['ROLLCALL_CA'] ?? inside(data, 'ca.crt') ?? beside(own.ca)
  const directory = flags.directory ?? beside(own.directory)
  const fromDirectory = flags.directory !== undefined || own.identities === 'directory'
  const est = fromDirectory
    ? null
    : readEst(
        {
          url: flags.est ?? own.est?.url,
          users: flags.estUsers ?? beside(own.est?.users),
          bootstrap: flags.estBootstrap ?? beside(own.est?.bootstrap),
        },
        problems,
      )
  if (!brokerText)
    problems.push('which broker? Give --broker mqtts://HOST:PORT, or --data DIR of a running rollcall up')
  if (fromDirectory && directory === undefined)
    problems.push('where are the certificates? Give --directory DIR')
  if (!fromDirectory && !apiText && !(flags.est ?? own.est)) {
    problems.push(
      'where do certificates come from? Give --data DIR, --api URL with --token-file FILE, --est URL, or --directory DIR',
    )
  }
  if (apiText && !tokenFile) problems.push('--token-file FILE is missing: the API asks for a token')
  const broker = brokerText ? readUrl('--broker', brokerText, 'mqtts:', problems) : null
  const ca = caFile ? readCertificate(caFile, problems) : null
  const token = api && tokenFile ? readText('--token-file', tokenFile, problems) : ''
  if (problems.length > 0 || !broker) throw new BadUsage(problems)
  return {
    broker: {
      url: `mqtts://${broker.host}`,
      host: broker.hostname.replace(/^\[|\]$/g, ''),
      port: Number(broker.port || 8883),
      ca,
    },
    api: api ? { url: api.origin, token } : null,
    identities: fromDirectory
      ? { from: 'directory', directory: directory ?? '' }
      : est || own.identities === 'est'
        ? { from: 'est', est }
        : { from: 'api' },
    keysDir: flags.keys ?? beside(own.keys) ?? inside(data, 'sim') ?? 'rollcall-sim',
  }
}

function inside(data: string | undefined, name: string): string | undefined {
  return data === undefined ? undefined : join(data, name)
}
