// A worker as a process of this machine. Does not know what it is told.
import { fork } from 'node:child_process'
import { scriptFile } from '../assets.ts'
import type { WorkerSlot } from './channel.ts'
import type { FromWorker } from './protocol.ts'

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

export function localWorker(name: string): WorkerSlot {
  return {
    name,
    open(listener) {
      const child = fork(scriptFile('workers/worker'), [], {
        serialization: 'advanced',
        execArgv: NODE_FLAGS,
        env: { ...process.env, ...MALLOC },
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      })
      child.on('message', (message: FromWorker) => listener.message(message))
      child.on('error', () => {})
      child.once('exit', (code, signal) => listener.ended(signal ?? `exit code ${code}`))
      return {
        send(message) {
          if (child.connected) child.send(message, () => {})
        },
        kill: () => void child.kill('SIGKILL'),
      }
    },
  }
}
