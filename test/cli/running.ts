// The command line as a shell runs it: a process of its own, its exit code and what it wrote; and `up`, with its end.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const repository = fileURLToPath(new URL('../../', import.meta.url))
const main = join(repository, 'cli', 'main.ts')

export type Ran = { code: number | null; stdout: string; stderr: string }
export type RunOptions = { env?: NodeJS.ProcessEnv; cwd?: string; command?: readonly string[] }

/** How long a command, a start or an end may take before a test gives up on it. */
const DEADLINE_MS = 180_000

/** Starts one command. */
export function launch(
  args: readonly string[],
  options: RunOptions = {},
): { child: ChildProcess; ended: Promise<Ran> } {
  const child = start(args, options)
  const [stdout, stderr] = [collected(child, 'stdout'), collected(child, 'stderr')]
  const ended = inTime(child, endOf(child)).then(code => ({ code, stdout: stdout(), stderr: stderr() }))
  return { child, ended }
}

/** Runs one command to its end. */
export function rollcall(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return launch(args, options).ended
}

/** A directory that goes when the test ends. */
export function temporaryDirectory(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'rollcall-cli-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

export type Ready = { ready: true; mqtts: string; api: string; admin: string; data: string }
export type Up = AsyncDisposable & {
  ready: Ready
  pid: number
  stderr(): string
  /** Every line written to stdout so far. */
  lines(): readonly string[]
  /** Sends a signal and gives the exit code (null where a signal ended it). */
  end(signal?: NodeJS.Signals): Promise<number | null>
  /** A client command on this data directory. */
  run(...args: string[]): Promise<Ran>
}

const anyPorts = ['--mqtts-port', '0', '--api-port', '0', '--status-port', '0', '--admin-port', '0']

/** `rollcall up -o json` until its ready line. @throws with what it wrote where it ends instead. */
export async function startUp(
  data: string,
  more: readonly string[] = [],
  options: RunOptions = {},
): Promise<Up> {
  const child = start(['up', '--data', data, '-o', 'json', ...anyPorts, ...more], options)
  const stderr = collected(child, 'stderr')
  const lines: string[] = []
  const ended = endOf(child)
  const started = new Promise<Ready>((resolve, reject) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', line => {
      lines.push(line)
      if (lines.length === 1) resolve(JSON.parse(line) as Ready)
    })
    ended.then(
      code => reject(new Error(`up ended with ${code}: ${stderr()}`)),
      error => reject(error),
    )
  })
  const ready = await inTime(child, started)
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    return inTime(child, ended)
  }
  return {
    ready,
    pid: child.pid ?? 0,
    stderr,
    lines: () => lines,
    end,
    run: (...args) => rollcall([...args, '--data', data], options),
    [Symbol.asyncDispose]: async () => void (await end()),
  }
}

function start(
  args: readonly string[],
  { env, cwd, command = [process.execPath, main] }: RunOptions,
): ChildProcess {
  const [program = '', ...before] = command
  const clean = { ...process.env }
  // The environment of the tests may name a service of the developer.
  for (const name of ['ROLLCALL_API', 'ROLLCALL_TOKEN_FILE', 'ROLLCALL_CA', 'NODE_OPTIONS'])
    delete clean[name]
  return spawn(program, [...before, ...args], {
    cwd: cwd ?? repository,
    env: { ...clean, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

function collected(child: ChildProcess, name: 'stdout' | 'stderr'): () => string {
  const chunks: Buffer[] = []
  child[name]?.on('data', chunk => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString('utf8')
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => resolve(code))
  })
}

/** The same; after the deadline the process is killed, and it rejects. */
function inTime<T>(child: ChildProcess, wanted: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const overdue = setTimeout(() => {
    child.kill('SIGKILL')
    late.reject(new Error('the command took too long'))
  }, DEADLINE_MS)
  return Promise.race([wanted, late.promise]).finally(() => clearTimeout(overdue))
}

/** Whether a process runs. One that ended and waits for its parent to notice does not. */
export function lives(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Asks again and again until it holds; the deadline is what fails. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 60_000,
): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`it never came to pass that ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
