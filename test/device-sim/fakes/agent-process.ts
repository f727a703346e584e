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
  {
    aheadSeconds = 0,
    workers = 2,
    host = '127.0.0.1',
    namespaceOf = null,
  }: {
    aheadSeconds?: number
    workers?: number
    host?: string
    /** A process whose network the agent is to have. */
    namespaceOf?: number | null
  } = {},
): Promise<AgentProcess> {
  const args = [process.execPath, main, 'agent', '--listen', `${host}:0`, '--trust', trust]
  args.push('--agent-identity', identityFile, '--workers', String(workers))
  const clocks = aheadSeconds === 0 ? {} : { LD_PRELOAD: fakeTime, FAKETIME: `+${aheadSeconds}s` }
  if (namespaceOf !== null) args.unshift('nsenter', '-t', String(namespaceOf), '-n')
  const [program = '', ...rest] = args
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...clocks },
  })
  const exited = once(child, 'exit')
  const [line] = await once(createInterface(child.stdout!), 'line')
  const [, port, fingerprint] = /:(\d+), fingerprint ([0-9a-f]{64})$/.exec(line) ?? []
  return {
    address: { name: `${host}:${port}`, host, port: Number(port), fingerprint: fingerprint! },
    child,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exited
    },
  }
}
