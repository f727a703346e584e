// The settings that a start would have: every one with its value and where that comes from, and all that is wrong with them.
// Flags come first, then the environment, then the file, then the defaults.

import { isServiceLink, meant, problemsOf, readGivenSettings } from '../../broker/settings/sources.ts'
import { environmentName, settingNames, validateSettings } from '../../broker/settings/validation.ts'
import { type ProvisioningConfig, readConfig, variables } from '../../provisioning/config.ts'

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
    .filter(({ name }) => name !== 'gates')
    .map(
      ({ name, flag, value, given }): EffectiveSetting => ({
        name,
        value: Array.isArray(value) ? value.join(', ') : value,
        from: given ? 'flag' : 'default',
        source: given ? flag : null,
      }),
    )
  const broker = brokerSettings(data, flags.find(({ name, given }) => name === 'gates' && given)?.value, env)
  const provisioning = provisioningSettings(data, flags, env)
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
      ...unknownVariables(env),
      ...(level === undefined || logLevels.includes(level)
        ? []
        : [`ROLLCALL_LOG_LEVEL: it is none of ${logLevels.join(', ')}`]),
    ],
  }
}

const byDefault = { from: 'default', source: null } as const

function brokerSettings(data: string, gatesFlag: unknown, env: NodeJS.ProcessEnv) {
  const given = readGivenSettings(data, env)
  const flag = gatesFlag === undefined ? {} : { gates: gatesFlag === 'auto' ? 'auto' : Number(gatesFlag) }
  const all = { ...given.file, ...given.environment, ...flag }
  let judged: Record<string, unknown> = {}
  const problems = [
    ...given.problems,
    ...problemsOf(() => {
      judged = validateSettings(all)
    }),
  ]
  const origin = (name: string): Pick<EffectiveSetting, 'from' | 'source'> => {
    if (Object.hasOwn(flag, name)) return { from: 'flag', source: `--${name}` }
    if (Object.hasOwn(given.environment, name)) return { from: 'environment', source: environmentName(name) }
    return Object.hasOwn(given.file, name) ? { from: 'file', source: 'rollcall.yaml' } : byDefault
  }
  const settings = Object.keys(judged).length === 0 ? [] : settingNames.map(name => setting(name))
  function setting(name: string): EffectiveSetting {
    return { name: `broker.${name}`, value: judged[name] as string | number, ...origin(name) }
  }
  return { settings, problems }
}

function provisioningSettings(data: string, flags: readonly GivenFlag[], env: NodeJS.ProcessEnv) {
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
      env,
    )
  } catch (error) {
    return {
      settings: [],
      problems: (error as { problems?: string[] }).problems ?? [(error as Error).message],
    }
  }
  const settings = Object.entries(variables).map(
    ([name, value]): EffectiveSetting => ({
      name,
      value: value(config),
      ...(env[name] ? { from: 'environment', source: name } : byDefault),
    }),
  )
  return { settings, problems: [] }
}

/** Those of the broker are judged with its settings. */
function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  const known = [...Object.keys(variables), ...others, ...settingNames.map(environmentName)]
  return Object.keys(env)
    .filter(name => name.startsWith('ROLLCALL_') && !name.startsWith('ROLLCALL_BROKER_'))
    .filter(name => !known.includes(name) && !name.startsWith('ROLLCALL_FUZZ_') && !isServiceLink(name))
    .map(name => `${name}: no variable of ours${meant(name, known)}`)
}
