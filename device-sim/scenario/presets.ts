// Scenarios that come along, by name: the YAML files of device-sim/presets/.
// Does not know what is in them.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { assetFile } from '../assets.ts'

const directory = assetFile('presets')

export function presetNames(): string[] {
  return readdirSync(directory)
    .filter(file => file.endsWith('.yaml'))
    .map(file => file.slice(0, -5))
    .toSorted()
}

/** The file of a preset; null where none has that name. */
export function presetFile(name: string): string | null {
  return presetNames().includes(name) ? join(directory, `${name}.yaml`) : null
}
