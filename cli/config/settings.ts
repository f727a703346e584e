// The settings that a start would have: every one with its value and where that comes from, and all that is wrong with them.
// Flags come first, then the environment, then the file, then the defaults.

import { effectiveBrokerSettings } from '../../broker/settings/effective.ts'
import { isServiceLink, meant } from '../../broker/settings/sources.ts'
import { environmentName, settingNames } from '../../broker/settings/validation.ts'
import {
  effectiveVariables,
  type ProvisioningConfig,
  readConfig,
  variables,
} from '../../provisioning/config.ts'
import { environmentOf, isVariableFlag } from '../service/variable-flags.ts'

type Origin = 'flag' | 'environment' | 'file' | 'default'
export type EffectiveSetting = {
  name: string
  value: string | number | boolean | null
  from: Origin
  /** The flag, variable or file that says so. */
  source: string | null
}
/** A flag of `up` with its value, and whether it was given. */
export type GivenFlag = { name: string; flag: string; value: string | number | string[]; given: boolean }

/** Variables that no setting of a service is: what commands read, and what the container files take. */
const others = [
  ...['ROLLCALL_API', 'ROLLCALL_TOKEN_FILE', 'ROLLCALL_CA', 'ROLLCALL_CERTIFICATE', 'ROLLCALL_KEY'],
  ...['ROLLCALL_LOG_LEVEL', 'ROLLCALL_NAME'],
]
const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

/** Never fails: what cannot be said for the problems is left out. No value is in a problem that may be a secret. */
export function effectiveSettings(
  data: string,
  flags: readonly GivenFlag[],
  env: NodeJS.ProcessEnv,
): { settings: EffectiveSetting[]; problems: string[] } {
  const settings = flags
    .filter(({ name }) => !isVariableFlag(name))
    .map(
      ({ name, flag, value, given }): EffectiveSetting => ({
        name,
        value: Array.isArray(value) ? value.join(', ') : value,
        from: given ? 'flag' : 'default',
        source: given ? flag : null,
      }),
    )
  const given = variablesOf(flags)
  const broker = brokerSettings(data, given, env)
  const provisioning = provisioningSettings(data, flags, given, env)
  const level = env['ROLLCALL_LOG_LEVEL']
  settings.push({
    name: 'logLevel',
    value: level ?? 'info',
    ...(level === undefined ? byDefault : { from: 'environment', source: 'ROLLCALL_LOG_LEVEL' }),
  })
  return {
    settings: [...settings, ...broker.settings, ...provisioning.settings],
    problems: [
      ...broker.problems,
      ...provisioning.problems,
      ...unequalModes(broker.settings, provisioning.settings),
      ...unknownVariables(env),
      ...(level === undefined || logLevels.includes(level)
        ? []
        : [`ROLLCALL_LOG_LEVEL: it is none of ${logLevels.join(', ')}`]),
    ],
  }
}

const byDefault = { from: 'default', source: null } as const

/** Each variable that a given flag stands for: its value, and the flag. */
type FlagVariables = ReadonlyMap<string, { value: string; flag: string }>

function variablesOf(flags: readonly GivenFlag[]): FlagVariables {
  const given = flags.filter(({ name, given }) => given && isVariableFlag(name))
  return new Map(
    given.flatMap(({ name, flag, value }) =>
      Object.entries(environmentOf({ [name]: String(value) })).map(
        ([variable, text]) => [variable, { value: text ?? '', flag }] as const,
      ),
    ),
  )
}

function withFlags(env: NodeJS.ProcessEnv, variables: FlagVariables): NodeJS.ProcessEnv {
  return { ...env, ...Object.fromEntries([...variables].map(([name, { value }]) => [name, value])) }
}

function brokerSettings(data: string, variables: FlagVariables, env: NodeJS.ProcessEnv) {
  const { settings, problems } = effectiveBrokerSettings(data, withFlags(env, variables))
  return {
    problems,
    settings: settings.map(({ name, value, from, source }): EffectiveSetting => {
      const flag = variables.get(environmentName(name))?.flag
      const origin =
        flag === undefined ? { from: from as Origin, source } : ({ from: 'flag', source: flag } as const)
      return { name: `broker.${name}`, value, ...origin }
    }),
  }
}

function provisioningSettings(
  data: string,
  flags: readonly GivenFlag[],
  given: FlagVariables,
  env: NodeJS.ProcessEnv,
) {
  const of = (name: string) => flags.find(flag => flag.name === name)?.value
  let config: ProvisioningConfig
  try {
    config = readConfig(
      {
        data,
        host: String(of('host') ?? '127.0.0.1'),
        apiPort: Number(of('apiPort') ?? 0),
        statusPort: Number(of('statusPort') ?? 0),
        sans: (of('san') as string[] | undefined) ?? [],
      },
      withFlags(env, given),
    )
  } catch (error) {
    return {
      settings: [],
      problems: (error as { problems?: string[] }).problems ?? [(error as Error).message],
    }
  }
  const settings = effectiveVariables(config, env).map(({ name, value, from, source }): EffectiveSetting => {
    const flag = given.get(name)?.flag
    const origin =
      flag === undefined ? { from: from as Origin, source } : ({ from: 'flag', source: flag } as const)
    return { name, value, ...origin }
  })
  return { settings, problems: [] }
}

/** A device that one service accepts and the other does not would be enrolled, and never admitted. */
function unequalModes(
  broker: readonly EffectiveSetting[],
  provisioning: readonly EffectiveSetting[],
): string[] {
  const valueIn = (settings: readonly EffectiveSetting[], name: string) =>
    settings.find(setting => setting.name === name)?.value
  const [ours, theirs] = [valueIn(broker, 'broker.pq'), valueIn(provisioning, 'ROLLCALL_PQ')]
  if (ours === undefined || theirs === undefined || ours === theirs) return []
  return [
    `pq is ${ours} for the broker and ${theirs} for provisioning: set ROLLCALL_PQ or --pq, and leave it out of rollcall.yaml`,
  ]
}

/** Those of the broker are judged with its settings. */
function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  const known = [...Object.keys(variables), ...others, ...settingNames.map(environmentName)]
  return Object.keys(env)
    .filter(name => name.startsWith('ROLLCALL_') && !name.startsWith('ROLLCALL_BROKER_'))
    .filter(name => !known.includes(name) && !name.startsWith('ROLLCALL_FUZZ_') && !isServiceLink(name))
    .map(name => `${name}: no variable of ours${meant(name, known)}`)
}
