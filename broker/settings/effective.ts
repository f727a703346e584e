// Every setting of the broker with its value and where that comes from.
import type { SettingRecord } from '../../db/service-records.ts'
import { problemsOf, readGivenSettings } from './sources.ts'
import { environmentName, settingNames, validateSettings } from './validation.ts'

/** Never throws: where the settings do not hold there are problems, and no settings. */
export function effectiveBrokerSettings(
  data: string,
  env: NodeJS.ProcessEnv,
): { settings: SettingRecord[]; problems: readonly string[] } {
  const given = readGivenSettings(data, env)
  let judged: Record<string, unknown> | null = null
  const problems = [
    ...given.problems,
    ...problemsOf(() => {
      judged = validateSettings({ ...given.file, ...given.environment })
    }),
  ]
  const origin = (name: string): Pick<SettingRecord, 'from' | 'source'> => {
    if (Object.hasOwn(given.environment, name)) {
      const variable = environmentName(name)
      return { from: 'environment', source: env[variable] === undefined ? 'ROLLCALL_PQ' : variable }
    }
    return Object.hasOwn(given.file, name)
      ? { from: 'file', source: 'rollcall.yaml' }
      : { from: 'default', source: null }
  }
  const values: Record<string, unknown> = judged ?? {}
  const settings = settingNames
    .filter(name => Object.hasOwn(values, name))
    .map(name => ({ name, value: values[name] as string | number, ...origin(name) }))
  return { settings, problems }
}
