// Which runtime the processes that devices are in run on: Node, or Bun where there is one and it passes a trial (ADR 0073).
// Everything else of the simulator runs on Node.
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { RunFailed } from '../failure.ts'

export const runtimeNames = ['node', 'bun', 'auto'] as const
export type RuntimeName = (typeof runtimeNames)[number]

/** `program` runs a worker; `why` says what `auto` decided by. */
export type WorkerRuntime = { name: 'node' | 'bun'; version: string; program: string; why: string | null }

/** The version that the tests of the simulator were run on; none below it is taken. */
export const BUN_TESTED = '1.4.5'

export const onNode: WorkerRuntime = {
  name: 'node',
  version: process.versions.node,
  program: process.execPath,
  why: null,
}

/** @throws RunFailed where Bun is asked for by name and is not there, is too old or fails the trial. */
export async function chooseRuntime(asked: RuntimeName = 'node'): Promise<WorkerRuntime> {
  if (asked === 'node') return onNode
  const found = findBun()
  const problem = 'problem' in found ? found.problem : await tried(found.program)
  if ('program' in found && problem === null) return { name: 'bun', ...found, why: null }
  if (asked === 'auto') return { ...onNode, why: problem }
  throw new RunFailed(`devices cannot be in processes of Bun: ${problem}`, {
    hint: `npm install --no-save bun@${BUN_TESTED} here, or a bun on the PATH; or --runtime node`,
  })
}

/** The package `bun` beside the simulator or in the folder it was started in, or a program of the PATH. */
function findBun(): { program: string; version: string } | { problem: string } {
  const program = fromPackage(import.meta.url) ?? fromPackage(join(process.cwd(), 'package.json')) ?? 'bun'
  let version: string
  try {
    version = execFileSync(program, ['--version'], { encoding: 'utf8', timeout: 10_000 }).trim()
  } catch {
    return { problem: program === 'bun' ? 'no bun was found' : `${program} does not run` }
  }
  return version.localeCompare(BUN_TESTED, 'en', { numeric: true }) < 0
    ? { problem: `bun ${version} is older than ${BUN_TESTED}, the one tested` }
    : { program, version }
}

function fromPackage(from: string): string | null {
  const require = createRequire(from)
  try {
    const path = require.resolve('bun/package.json')
    return join(dirname(path), (require(path) as { bin: { bun: string } }).bin.bun)
  } catch {
    return null
  }
}

/** Loaded only where Bun is asked for. */
async function tried(program: string): Promise<string | null> {
  const { tryRuntime } = await import('./runtime-trial.ts')
  return tryRuntime(program)
}
