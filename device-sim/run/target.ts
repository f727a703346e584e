// Where a scenario's run goes: flags win over the environment, over `--data DIR`, over the scenario's own target.
// Nothing is contacted that none of them names. Does not know what happens there.
import { dirname, join, resolve } from 'node:path'
import { BadUsage } from '../failure.ts'
import { type Credentials, credentialsOf } from '../links/session.ts'
import type { Plan } from '../scenario/plan.ts'
import { type Broker, readCertificate, readEndpoints, readText, readUrl } from '../target.ts'
import { type BrokerFlags, readBroker } from './broker-target.ts'
import { type EstTarget, readEst } from './est-target.ts'
import { parseIdentity } from './identity-directory.ts'

export type { EstTarget } from './est-target.ts'

export type RunFlags = BrokerFlags & {
  broker?: string
  api?: string
  tokenFile?: string
  ca?: string
  data?: string
  keys?: string
  directory?: string
  certificate?: string
  key?: string
  /** `none`: devices present no certificate; `tpm`: models of TPMs prove their keys. */
  identities?: string
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
  /** Devices present no certificate. */
  | { from: 'nowhere' }
  /** One key and certificate for all of them. */
  | { from: 'one'; credentials: Credentials }
  | { from: 'api' }
  | { from: 'tpm' }
  /** `est` is null for that of the API. */
  | { from: 'est'; est: EstTarget | null }
  | { from: 'directory'; directory: string }

/** @throws BadUsage with every missing or unreadable setting. */
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
  const api = apiText ? readUrl('--api', apiText, ['https:'], problems) : null
  const brokerText = flags.broker ?? endpoints.mqtts ?? own.broker ?? (api && `mqtts://${api.hostname}:8883`)
  const tokenFile =
    flags.tokenFile ?? env['ROLLCALL_TOKEN_FILE'] ?? inside(data, 'admin.token') ?? beside(own.tokenFile)
  const caFile = flags.ca ?? env['ROLLCALL_CA'] ?? inside(data, 'ca.crt') ?? beside(own.ca)
  const directory = flags.directory ?? beside(own.directory)
  const shared = flags.certificate ?? beside(own.certificate)
  const plain = /^(mqtt|ws):/.test(brokerText ?? '')
  const fromNowhere =
    shared === undefined && (own.identities === 'none' || flags.identities === 'none' || plain)
  const fromDirectory =
    shared === undefined && !fromNowhere && (flags.directory !== undefined || own.identities === 'directory')
  const unissued = fromDirectory || fromNowhere || shared !== undefined
  const byTpm =
    !unissued && (flags.identities === 'tpm' || (flags.est === undefined && own.identities === 'tpm'))
  const est =
    unissued || byTpm
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
  if (shared !== undefined && plain) problems.push('--certificate: only with mqtts:// and wss://')
  if (fromDirectory && directory === undefined)
    problems.push('where are the certificates? Give --directory DIR')
  if (!unissued && !apiText && !(flags.est ?? own.est)) {
    problems.push(
      'where do certificates come from? Give --data DIR, --api URL with --token-file FILE, --est URL, --directory DIR, --certificate FILE for all devices, or --identities none',
    )
  }
  if (byTpm && !apiText)
    problems.push('--identities tpm: TPMs enroll at the API. Give --data DIR, or --api URL')
  if (apiText && !tokenFile) problems.push('--token-file FILE is missing: the API asks for a token')
  const ca = caFile ? readCertificate(caFile, problems) : null
  const { username, passwordFile } = own
  const given = {
    ...(username === undefined ? {} : { username }),
    ...(passwordFile === undefined ? {} : { passwordFile: beside(passwordFile) as string }),
    ...flags,
  }
  const broker = brokerText ? readBroker(brokerText, ca, given, problems) : null
  const one = shared === undefined ? null : readShared(shared, flags.key, problems)
  if (flags.key !== undefined && shared === undefined) problems.push('--key: only with --certificate')
  const token = api && tokenFile ? readText('--token-file', tokenFile, problems) : ''
  if (problems.length > 0 || !broker) throw new BadUsage(problems)
  return {
    broker,
    api: api ? { url: api.origin, token } : null,
    identities: identitiesOf(),
    keysDir: flags.keys ?? beside(own.keys) ?? inside(data, 'sim') ?? 'rollcall-sim',
  }

  function identitiesOf(): Identities {
    if (one) return { from: 'one', credentials: one }
    if (fromNowhere) return { from: 'nowhere' }
    if (fromDirectory) return { from: 'directory', directory: directory ?? '' }
    if (byTpm) return { from: 'tpm' }
    return est || own.identities === 'est' ? { from: 'est', est } : { from: 'api' }
  }
}

/** One PEM file that holds key and certificates, or one for each. */
function readShared(file: string, keyFile: string | undefined, problems: string[]): Credentials | null {
  const certificates = readText('--certificate', file, problems)
  const key = keyFile === undefined ? '' : readText('--key', keyFile, problems)
  if (certificates === '' || (keyFile !== undefined && key === '')) return null
  const text = `${key}\n${certificates}`
  try {
    return credentialsOf(parseIdentity('', text))
  } catch (error) {
    problems.push(`--certificate: ${file}: ${(error as Error).message}`)
    return null
  }
}

function inside(data: string | undefined, name: string): string | undefined {
  return data === undefined ? undefined : join(data, name)
}
