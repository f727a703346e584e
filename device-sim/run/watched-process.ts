// CPU and memory of processes of this machine that are no part of the simulator: the broker's, with --watch-pid.
// Reads /proc. Does not know what the processes do.
import { readFileSync } from 'node:fs'
import { BadUsage } from '../failure.ts'
import type { Watched } from '../results/sample.ts'

/** Of one process, since its start; null where there is none. */
type Usage = { cpuSeconds: number; rssBytes: number }

export type ProcessWatch = {
  /** What all of them together used since the last look; null where none is left. */
  look(seconds: number): Watched | null
  /** Those that have ended since the last look. */
  ended(): number[]
}

const PIDS_MAX = 64
/** Clock ticks per second in /proc/PID/stat: USER_HZ, 100 on every architecture that Node runs on. */
const TICKS = 100

/** @throws BadUsage where one is no process of this machine. */
export function readPids(text: string | undefined): number[] {
  if (text === undefined) return []
  const pids = text.split(',').map(one => (/^[1-9]\d{0,9}$/.test(one.trim()) ? Number(one) : Number.NaN))
  if (pids.length > PIDS_MAX)
    throw new BadUsage([`--watch-pid: ${pids.length} processes, more than ${PIDS_MAX}`])
  for (const [index, pid] of pids.entries()) {
    if (!usageOf(pid)) {
      throw new BadUsage([
        `--watch-pid: ${JSON.stringify(text.split(',')[index])} is no process of this machine`,
      ])
    }
  }
  return pids
}

export function createProcessWatch(
  pids: readonly number[],
  read: (pid: number) => Usage | null = usageOf,
): ProcessWatch {
  const before = new Map(pids.map(pid => [pid, read(pid)?.cpuSeconds ?? 0]))
  let gone: number[] = []
  return {
    look(seconds) {
      let cpuSeconds = 0
      let rssBytes = 0
      for (const [pid, since] of before) {
        const usage = read(pid)
        // A number that was given to another process begins with less CPU.
        if (!usage || usage.cpuSeconds < since) {
          before.delete(pid)
          gone.push(pid)
          continue
        }
        before.set(pid, usage.cpuSeconds)
        cpuSeconds += usage.cpuSeconds - since
        rssBytes += usage.rssBytes
      }
      return before.size === 0
        ? null
        : { cpu: Math.round((1000 * cpuSeconds) / Math.max(seconds, 0.001)) / 1000, rssBytes }
    },
    ended() {
      const ended = gone
      gone = []
      return ended
    },
  }
}

function usageOf(pid: number): Usage | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the program, in parentheses, may hold anything: fields count from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[11]) + Number(fields[12])
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number.isFinite(ticks)
      ? { cpuSeconds: ticks / TICKS, rssBytes: Number(resident ?? 0) * 1024 }
      : null
  } catch {
    return null
  }
}
