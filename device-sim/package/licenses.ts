// The licenses of packages that went into a bundle: their authors ask for them to go along.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The package that a file is of, by its path; null for a file of ours. */
export function packageOf(path: string): string | null {
  return /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? null
}

/** Name, version and license of each package, with the text of the license where the package has it. */
export function licensesOf(modules: string, names: readonly string[]): string {
  return names
    .map(name => {
      const folder = join(modules, name)
      const { license, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      return `${name} ${version}: ${license}\n\n${licenseText(folder)}`
    })
    .join(`\n${'-'.repeat(80)}\n\n`)
}

function licenseText(folder: string): string {
  for (const file of ['LICENSE', 'LICENSE.md', 'license', 'LICENCE', 'LICENSE.txt', 'license.md']) {
    try {
      return readFileSync(join(folder, file), 'utf8')
    } catch {}
  }
  return ''
}
