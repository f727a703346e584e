// Compiled code kept between runs, which halves the time until the first connection. In a directory of the user's own: its
// contents are run, so nobody else may write there.
import { mkdirSync, statSync } from 'node:fs'
import module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** For this process and those that it starts. Does nothing where there is no such directory, or Node keeps no code. */
export function keepCompiledCode(env: NodeJS.ProcessEnv): void {
  if (env['NODE_COMPILE_CACHE'] !== undefined || env['NODE_DISABLE_COMPILE_CACHE'] !== undefined) return
  const directory = join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'rollcall-sim')
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const { uid, mode } = statSync(directory)
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0) return
    module.enableCompileCache?.(directory)
    env['NODE_COMPILE_CACHE'] = directory
  } catch {
    // Without it a start takes longer, and is the same.
  }
}
