// The command by which the user runs this program, so that every command in a hint can be copied.
import { realpathSync } from 'node:fs'
import { delimiter, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The launcher of a clone as seen from the working directory, or the installed command. */
export function programName(): string {
  const here = dirname(fileURLToPath(import.meta.url))
  if (import.meta.url.endsWith('.ts')) {
    const launcher = relative(process.cwd(), join(here, '..', 'rollcall'))
    return quoted(launcher.startsWith('..') ? resolve(launcher) : `./${launcher}`)
  }
  const main = join(here, 'main.js')
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .some(folder => leadsTo(join(folder, 'rollcall'), main))
  return onPath ? 'rollcall' : 'npx rollcall'
}

function leadsTo(command: string, main: string): boolean {
  try {
    return realpathSync(command) === realpathSync(main)
  } catch {
    return false
  }
}

/** As one word of a shell command. */
export function quoted(text: string): string {
  return /^[\w./@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
