// `rollcall-sim agent` as a process of its own, as on another machine; its clocks may be set ahead by faketime.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { AgentAddress } from '../../../device-sim/agents/addresses.ts'

/** Debian's `faketime`: the monotonic clock is set ahead, too. */
export const fakeTime = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0]
const main = join(import.meta.dirname, '../../../device-sim/package/main.ts')

export type AgentProcess = { address: AgentAddress; child: ChildProcess } & AsyncDisposable

export async function startAgentProcess(
  identityFile: string,
  trust: string,
  { aheadSeconds = 0, workers = 2 }: { aheadSeconds?: number; workers?: number } = {},
): Promise<AgentProcess> {
  const args = [main, 'agent', '--listen', '127.0.0.1:0', '--trust', trust]
  args.push('--agent-identity', identityFile, '--workers', String(workers))
  const clocks = aheadSeconds === 0 ? {} : { LD_PRELOAD: fakeTime, FAKETIME: `+${aheadSeconds}s` }
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...clocks },
  })
  const exited = once(child, 'exit')
  const [line] = await once(createInterface(child.stdout!), 'line')
  const [, port, fingerprint] = /:(\d+), fingerprint ([0-9a-f]{64})$/.exec(line) ?? []
  return {
    address: { name: `127.0.0.1:${port}`, host: '127.0.0.1', port: Number(port), fingerprint: fingerprint! },
    child,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exited
    },
  }
}
