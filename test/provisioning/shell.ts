// Shell text of a document, run as a reader would paste it.
import { execFile } from 'node:child_process'
import { join } from 'node:path'

/** Gives what it prints; ends at the first command that fails. */
export function shell(text: string, cwd: string): Promise<{ output: string; code: number }> {
  return new Promise(resolve => {
    const environment = { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env['PATH']}` }
    execFile(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', text],
      { cwd, env: environment },
      (error, stdout, stderr) => resolve({ output: stdout + stderr, code: error === null ? 0 : 1 }),
    )
  })
}
