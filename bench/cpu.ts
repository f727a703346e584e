// CPU time and memory of another process, as the kernel accounts for it.
import { readdirSync, readFileSync } from 'node:fs'
import { childrenOf } from '../test/harness/child-processes.ts'

const TICKS_PER_SECOND = 100 // USER_HZ is 100 on every Linux we run on

/** A process and all that it started. */
export function processTree(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(processTree)]
}

/** User and system CPU of a process and all that it started so far, in microseconds, to 10 ms each. */
export function cpuMicros(pid: number): number {
  return processTree(pid).reduce((sum, one) => sum + cpuOfOne(one), 0)
}

export function cpuOfOne(pid: number): number {
  return microsIn(`/proc/${pid}/stat`)
}

/** Of the first thread of a process alone, on which its event loop runs. */
export function loopMicros(pid: number): number {
  return microsIn(`/proc/${pid}/task/${pid}/stat`)
}

/** CPU of each thread that a process has, the first one first, in microseconds, to the nanosecond. Of kernels with CONFIG_SCHED_DEBUG alone. */
export function threadMicros(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`).toSorted((one, other) => Number(one) - Number(other))
  return threads.map(thread => {
    const sched = readFileSync(`/proc/${pid}/task/${thread}/sched`, 'utf8')
    return Number(/^se\.sum_exec_runtime\s+:\s+([\d.]+)$/m.exec(sched)?.[1] ?? Number.NaN) * 1_000
  })
}

function microsIn(file: string): number {
  const stat = readFileSync(file, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6
}

/** Resident memory in KiB. */
export function residentKib(pid: number): number {
  const match = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1] ?? 0)
}

/** The most resident memory the process has had so far, in KiB. */
export function peakResidentKib(pid: number): number {
  const match = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1] ?? 0)
}

/** What malloc holds for the process's first thread, in KiB: the memory of OpenSSL, and none of V8's. */
export function nativeHeapKib(pid: number): number {
  const [, heap = ''] = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^.* \[heap\]$/m)
  return Number(/^Private_Dirty:\s+(\d+)/m.exec(heap)?.[1] ?? Number.NaN)
}

/** CPU a process spends while the work runs, in microseconds. */
export async function cpuDuring(pid: number, work: () => Promise<void>): Promise<number> {
  const before = cpuMicros(pid)
  await work()
  return cpuMicros(pid) - before
}
