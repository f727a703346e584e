// A whole Rollcall as an operator starts it: `rollcall up` in a process group of its own, its log in a file, its command
// line and its API at hand. Whatever it started is gone at the end, also where the test that asked for it died.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { lives, type Ran, type Ready, repository, rollcall, until } from '../cli/running.ts'
import { childrenOf } from '../harness/child-processes.ts'
import { type Api, openApi } from './api.ts'

const main = join(repository, 'cli', 'main.ts')
export const anyPorts = ['--mqtts-port', '0', '--api-port', '0', '--status-port', '0', '--admin-port', '0']

/** Flags for a start that is found where the one before was. */
export function samePorts({ mqtts, api, admin }: Ready): string[] {
  const port = (url: string) => new URL(url).port
  return [
    ...['--mqtts-port', port(mqtts), '--api-port', port(api), '--admin-port', port(admin)],
    ...['--status-port', '0'],
  ]
}

/** How long a start or an end may take before everything of it is killed. */
const DEADLINE_MS = 120_000

export type System = AsyncDisposable & {
  data: string
  ready: Ready
  pid: number
  api: Api
  mqttsPort: number
  /** What both services and the supervisor have written to stderr so far. */
  log(): string
  /** The log lines that are JSON. */
  lines(): Line[]
  /** Resolves once the log holds this. A service answers before what it logs has been written. */
  logged(text: RegExp): Promise<void>
  /** A client command on this data directory, with what it said. */
  run(...args: string[]): Promise<Ran>
  /** The same, as the JSON it prints. @throws where it does not end with 0. */
  ask<Result = unknown>(...args: string[]): Promise<Result>
  /** The service's process. @throws where it is not running. */
  childPid(service: Service): number
  admin(path: string): Promise<{ status: number; text: string }>
  /** The value of one sample of `/metrics`, labels included in the name; 0 where it is not there. */
  metric(sample: string): Promise<number>
  /** Sends a signal to the supervisor alone and gives its exit code once it is gone (null where a signal ended it). */
  end(signal?: NodeJS.Signals): Promise<number | null>
  /** kill -9 of supervisor and services at once. */
  killAll(): Promise<void>
}

export type Service = 'broker' | 'provisioning'
export type Line = { msg: string; reason?: string; deviceId?: string; [field: string]: unknown }
export type SystemOptions = {
  flags?: readonly string[]
  env?: NodeJS.ProcessEnv
  /** A command that starts it, such as `prlimit --nofile=100`. */
  through?: readonly string[]
  /** Its clock is not ours, so its certificate is not judged from here. */
  otherClock?: boolean
}

/** A test that is killed cannot clean up: the kernel then ends the supervisor, and its services follow. */
const mortal = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'KILL'] : []

/** Supervisors that have not ended, each the leader of its group, and every data directory that one was started on. */
const groups = new Set<number>()
const directories = new Set<string>()
process.once('exit', () => {
  for (const pid of groups) killGroup(pid)
  // A service can outlive its supervisor for a moment.
  for (const directory of directories)
    for (const pid of processesNaming(directory)) process.kill(pid, 'SIGKILL')
})

/** Starts `rollcall up` on a data directory and resolves once both services accept. @throws with its words where it ends. */
export async function startSystem(data: string, options: SystemOptions = {}): Promise<System> {
  const { child, log, ended } = launchUp(data, options)
  const pid = child.pid ?? 0
  const ready = await new Promise<Ready>((resolve, reject) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', line =>
      resolve(JSON.parse(line)),
    )
    ended.then(code => reject(new Error(`up ended with ${code}: ${log()}`)))
    setTimeout(() => reject(new Error(`up was not ready in time: ${log()}`)), DEADLINE_MS).unref()
  }).catch(error => {
    killGroup(pid)
    throw error
  })
  const api = openApi(ready.api, data, { unverified: options.otherClock === true })

  async function end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    api.close()
    child.kill(signal)
    const overdue = setTimeout(() => killGroup(pid), DEADLINE_MS)
    const code = await ended
    clearTimeout(overdue)
    return code
  }

  const admin: System['admin'] = async path => {
    const answer = await fetch(`${ready.admin}${path}`)
    return { status: answer.status, text: await answer.text() }
  }
  return {
    data,
    ready,
    pid,
    api,
    mqttsPort: Number(new URL(ready.mqtts).port),
    log,
    lines: () => jsonLines(log()),
    logged: text => until(() => text.test(log()), `the log says ${text}`),
    run: (...args) => rollcall([...args, '--data', data]),
    async ask(...args) {
      const { code, stdout, stderr } = await rollcall([...args, '--data', data, '-o', 'json'])
      if (code !== 0) throw new Error(`rollcall ${args.join(' ')} ended with ${code}: ${stderr}`)
      return JSON.parse(stdout)
    },
    childPid(service) {
      const found = childrenOf(pid).find(child => commandLine(child).includes(service))
      if (found === undefined) throw new Error(`no ${service} runs under ${pid}`)
      return found
    },
    admin,
    async metric(sample) {
      const { text } = await admin('/metrics')
      const line = text.split('\n').find(line => line.startsWith(`${sample} `))
      return line === undefined ? 0 : Number(line.slice(sample.length + 1))
    },
    end,
    async killAll() {
      api.close()
      killGroup(pid)
      await ended
    },
    [Symbol.asyncDispose]: async () => void (await end()),
  }
}

export type Launched = { child: ChildProcess; log(): string; ended: Promise<number | null> }

/** The start alone, for one that should fail. What runs after the deadline nevertheless is killed (code null). */
export function attemptUp(data: string, options: SystemOptions = {}): Launched {
  const launched = launchUp(data, options)
  const overdue = setTimeout(() => killGroup(launched.child.pid ?? 0), DEADLINE_MS)
  const ended = launched.ended.finally(() => clearTimeout(overdue))
  return { ...launched, ended }
}

function launchUp(data: string, { flags = anyPorts, env, through = [] }: SystemOptions = {}): Launched {
  const logs = mkdtempSync(join(tmpdir(), 'rollcall-log-'))
  const file = join(logs, 'stderr')
  const stderr = openSync(file, 'w')
  const [program = '', ...args] = [
    ...mortal,
    ...through,
    process.execPath,
    main,
    'up',
    '--data',
    data,
    '-o',
    'json',
    ...flags,
  ]
  const clean = { ...process.env }
  for (const name of ['ROLLCALL_API', 'ROLLCALL_TOKEN_FILE', 'ROLLCALL_CA', 'NODE_OPTIONS'])
    delete clean[name]
  const child = spawn(program, args, {
    cwd: repository,
    env: { ...clean, ...env },
    stdio: ['ignore', 'pipe', stderr],
    detached: true,
  })
  closeSync(stderr)
  const pid = child.pid ?? 0
  groups.add(pid)
  directories.add(data)
  let kept: string | null = null
  const log = () => kept ?? readFileSync(file, 'utf8')
  const ended = new Promise<number | null>(resolve =>
    child.once('close', code => {
      groups.delete(pid)
      kept = readFileSync(file, 'utf8')
      rmSync(logs, { recursive: true, force: true })
      resolve(code)
    }),
  )
  return { child, log, ended }
}

/** What a start that failed told, once and in JSON, as it was asked for. @throws where its log holds none, or more than one. */
export function failureIn(log: string): { error: string; reason: string; hint: string | null } {
  const told = jsonLines(log).filter(line => typeof line['error'] === 'string')
  if (told.length !== 1) throw new Error(`${told.length} failures in ${log}`)
  return told[0] as unknown as ReturnType<typeof failureIn>
}

/** Where a disk is, for a test of the disk: `npm test` makes what is temporary in memory. */
export const disk = process.env['TEST_DISK'] ?? tmpdir()

/** A directory that goes when the test ends. */
export function scratch(
  below: string = tmpdir(),
): Disposable & { path: string; at(...names: string[]): string } {
  const path = mkdtempSync(join(below, 'rollcall-e2e-'))
  return {
    path,
    at: (...names) => join(path, ...names),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

/** The processes that have this text as a word of their command line. */
export function processesNaming(text: string): number[] {
  const pids = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
  return pids.filter(pid => pid !== process.pid && commandLine(pid).includes(text) && lives(pid))
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody of it is left.
  }
}

function jsonLines(text: string): Line[] {
  return text.split('\n').flatMap(line => {
    try {
      return [JSON.parse(line) as Line]
    } catch {
      return []
    }
  })
}
