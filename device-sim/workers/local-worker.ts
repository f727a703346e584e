// A worker as a process of this machine, on Node or on Bun. Does not know what it is told.
import { type ChildProcess, fork } from 'node:child_process'
import { scriptFile } from '../assets.ts'
import type { WorkerSlot } from './channel.ts'
import { machineNow } from './machine-clock.ts'
import type { FromWorker, ToWorker } from './protocol.ts'
import { onNode, type WorkerRuntime } from './runtime.ts'

/**
 * What the memory of thousands of connections is best served by (ADR 0034). Node keeps two buffers for each, 16 and 64 KiB of which
 * a page is used: on pages of their own (from `MMAP_THRESHOLD`, where there is no room at the top) the rest stays untouched.
 */
const NODE_FLAGS = ['--max-semi-space-size=2', '--single-threaded-gc', '--optimize-for-size']
const MALLOC = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '65536',
  MALLOC_TOP_PAD_: '4096',
  MALLOC_MMAP_THRESHOLD_: '16384',
  // Below the 65,530 maps that Linux grants a process.
  MALLOC_MMAP_MAX_: '50000',
}

function start(runtime: WorkerRuntime): ChildProcess {
  if (runtime.name === 'bun') {
    return fork(scriptFile('workers/worker'), [], {
      execPath: runtime.program,
      execArgv: [],
      // Bun and Node do not read each other's other form.
      serialization: 'json',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
  }
  return fork(scriptFile('workers/worker'), [], {
    serialization: 'advanced',
    execArgv: NODE_FLAGS,
    env: { ...process.env, ...MALLOC },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
}

let ahead: ChildProcess | null = null
/** Commands and flags that run nothing in workers of this machine. */
const WITHOUT_WORKERS =
  /^(agent|check|clean|compare|conformance|help|presets|schema|--(agents|runtime)(=.*)?|--help|--version)$/

/**
 * Starts a worker while the rest of the program is still loading, where the command line (without the program's name) looks like
 * a run. The first slot takes it; where none does, it ends with this process and keeps it from nothing.
 */
export function startWorkerAhead(args: readonly string[]): void {
  if (args.some(argument => WITHOUT_WORKERS.test(argument))) return
  ahead = start(onNode)
  ahead.on('error', () => {})
  ahead.unref()
  ahead.channel?.unref()
}

/** The one that was started ahead, if it still runs. */
function takeAhead(): ChildProcess | null {
  const child = ahead
  ahead = null
  if (!child?.connected || child.exitCode !== null || child.signalCode !== null) return null
  child.ref()
  child.channel?.ref()
  return child
}

export function localWorker(name: string, runtime: WorkerRuntime): WorkerSlot {
  return {
    name,
    open(listener) {
      const child = (runtime.name === 'node' ? takeAhead() : null) ?? start(runtime)
      const send = (message: ToWorker): void => {
        if (child.connected) child.send(message, () => {})
      }
      child.on('message', (message: FromWorker) => {
        if (message.is === 'ask') send({ do: 'tell', asked: message.at, now: machineNow() })
        else listener.message(message)
      })
      child.on('error', () => {})
      child.once('exit', (code, signal) => listener.ended(signal ?? `exit code ${code}`))
      return {
        send,
        kill: () => void child.kill('SIGKILL'),
      }
    },
  }
}
