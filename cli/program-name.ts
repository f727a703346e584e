// The command by which the user runs this program, so that every command in a hint can be copied.
import { existsSync, realpathSync } from 'node:fs'
import { delimiter, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The launcher of a clone or an unpacked tarball as seen from the working directory, or the installed command. */
export function programName(): string {
  const here = dirname(fileURLToPath(import.meta.url))
  const isSource = import.meta.url.endsWith('.ts')
  const launcher = join(here, isSource ? '..' : '../..', 'rollcall')
  const targets = [join(here, 'main.js'), launcher]
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .some(folder => targets.some(target => leadsTo(join(folder, 'rollcall'), target)))
  if (!isSource && onPath) return 'rollcall'
  if (!isSource && !existsSync(launcher)) return 'npx rollcall'
  const nearby = relative(process.cwd(), launcher)
  return quoted(nearby.startsWith('..') ? resolve(launcher) : `./${nearby}`)
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
