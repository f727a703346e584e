// A scenario by the name of a preset or from a file, and what there is to read about scenarios.
import { readFileSync } from 'node:fs'
import { BadUsage } from '../failure.ts'
import type { Protocol } from '../links/session.ts'
import { type Plan, planOf } from './plan.ts'
import { presetFile, presetNames } from './presets.ts'
import { readScenario } from './read.ts'
import { ScenarioSchema } from './schema.ts'

export type Source = { plan: Plan; name: string; file: string | null }

/**
 * A file, or the name of a preset. `protocol` is that of all groups, whatever the file says.
 * @throws BadUsage with file, line and the expected value.
 */
export function loadScenario(nameOrFile: string, protocol: Protocol | null = null): Source {
  const preset = presetFile(nameOrFile)
  if (preset === null && !/[./\\]/.test(nameOrFile)) {
    throw new BadUsage([`there is no preset ${nameOrFile}; there are ${presetNames().join(', ')}`])
  }
  const file = preset ?? nameOrFile
  const { scenario, locate } = readScenario(file)
  const groups = scenario.groups.map(group => (protocol === null ? group : { ...group, protocol }))
  const { plan, faults } = planOf({ ...scenario, groups })
  if (!plan) throw new BadUsage(faults.map(locate))
  return {
    plan,
    name: preset === null ? nameOrFile : `preset:${nameOrFile}`,
    file: preset === null ? file : null,
  }
}

/** The JSON Schema that editors complete and check scenarios by. */
export function schemaText(): string {
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', ...ScenarioSchema }
  return `${JSON.stringify(schema, null, 2)}\n`
}

/** A line for each preset: its name and what it is for. */
export function presetList(): string {
  return presetNames()
    .map(name => `${name.padEnd(18)}${loadScenario(name).plan.description.split('\n')[0]}\n`)
    .join('')
}

/** The YAML of a preset, to start one's own scenario from. @throws BadUsage */
export function presetText(name: string): string {
  const file = presetFile(name)
  if (file === null) throw new BadUsage([`there is no preset ${name}; there are ${presetNames().join(', ')}`])
  return readFileSync(file, 'utf8')
}
