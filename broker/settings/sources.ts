// Where the broker's settings come from: `rollcall.yaml` in the data directory, and the environment, which wins. An unknown
// name prevents the start: the limit that it was meant to set would not hold.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { nearestName } from './nearest-name.ts'
import {
  type BrokerSettings,
  ConfigError,
  environmentName,
  settingNames,
  validateSettings,
} from './validation.ts'

const PREFIX = 'ROLLCALL_BROKER_'
const SECTIONS = ['broker']

/** What Kubernetes and Docker put into the environment for a service that is called rollcall-broker. */
const SERVICE_LINK =
  /^ROLLCALL_[A-Z0-9_]*?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$/

/** What each source says, and all that is wrong with it. */
type GivenSettings = {
  file: Record<string, unknown>
  environment: Record<string, unknown>
  problems: readonly string[]
}

/** Reads both sources and validates them. @throws ConfigError with every problem found. */
export function readBrokerSettings(dataDirectory: string, env: NodeJS.ProcessEnv): BrokerSettings {
  const { file, environment, problems } = readGivenSettings(dataDirectory, env)
  const given = { ...file, ...environment }
  if (problems.length === 0) return validateSettings(given)
  throw new ConfigError([...problems, ...problemsOf(() => validateSettings(given))])
}

export function readGivenSettings(dataDirectory: string, env: NodeJS.ProcessEnv): GivenSettings {
  const problems: string[] = []
  const file = readSettingsFile(join(dataDirectory, 'rollcall.yaml'), problems)
  return { file, environment: readSettingsEnvironment(env, problems), problems }
}

export function problemsOf(work: () => unknown): readonly string[] {
  try {
    work()
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

function readSettingsFile(file: string, problems: string[]): Record<string, unknown> {
  if (!existsSync(file)) return {}
  let content: unknown
  try {
    content = parse(readFileSync(file, 'utf8')) ?? {}
  } catch (error) {
    problems.push(`${file}: ${(error as Error).message}`)
    return {}
  }
  if (!isMap(content)) {
    problems.push(`${file}: it must be a map with the section broker`)
    return {}
  }
  for (const name of Object.keys(content))
    if (!SECTIONS.includes(name)) problems.push(`${file}: ${name}: unknown section${meant(name, SECTIONS)}`)
  const section = content['broker'] ?? {}
  if (isMap(section)) return section
  problems.push(`${file}: broker must be a map`)
  return {}
}

function readSettingsEnvironment(env: NodeJS.ProcessEnv, problems: string[]): Record<string, unknown> {
  const given: Record<string, unknown> = {}
  const known = new Map(settingNames.map(name => [environmentName(name), name]))
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || text === undefined || isServiceLink(variable)) continue
    const name = known.get(variable)
    if (name === undefined) problems.push(`${variable}: unknown setting${meant(variable, known.keys())}`)
    else given[name] = /^\d+$/.test(text) ? Number(text) : text
  }
  // Of both services: a certificate accepted at enrollment must be admitted, too.
  const pq = env['ROLLCALL_PQ'] || undefined
  if (pq !== undefined) given['pq'] ??= pq
  return given
}

export function isServiceLink(variable: string): boolean {
  return SERVICE_LINK.test(variable)
}

/** Words for the end of a complaint. */
export function meant(name: string, known: Iterable<string>): string {
  const nearest = nearestName(name, known)
  return nearest === null ? '' : `, did you mean ${nearest}?`
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
