// The simulator's own limits, reported: measurements taken while one was reached are doubtful.
// Pure but for one look at the machine. Does not know what the broker does.
import type { Sample } from '../results/sample.ts'
import type { ToolLimit } from '../results/summary.ts'

export type Limits = {
  look(sample: Sample): ToolLimit[]
  add(limit: ToolLimit['limit'], text: string): void
  all(): ToolLimit[]
}

/** Descriptors that a worker needs besides its connections. */
const DESCRIPTORS_SPARE = 100
/** What the kernel keeps for outgoing connections to one address and port, where nothing else is configured. */
const PORTS_PER_SOURCE = 28_000
const WORKERS_MAX = 64

export function createLimits(): Limits {
  const found = new Map<ToolLimit['limit'], ToolLimit>()

  function see(limit: ToolLimit['limit'], text: string): ToolLimit | null {
    const known = found.get(limit)
    if (known) {
      known.seconds++
      return null
    }
    const first = { limit, text, seconds: 1 }
    found.set(limit, first)
    return first
  }

  return {
    look({ tool, failures }) {
      const seen = [
        tool.cpuBusiest > 0.9 && see('cpu', 'a worker used its whole CPU: latencies hold its own waiting'),
        (tool.lateMs.p99 ?? 0) > 50 &&
          see('late', `the simulator began its work ${Math.round(tool.lateMs.p99 ?? 0)} ms late (p99)`),
        has(failures, 'emfile') &&
          see('descriptors', 'no more files can be opened: raise ulimit -n or add workers'),
        (has(failures, 'eaddrnotavail') || has(failures, 'eaddrinuse')) &&
          see('ports', 'no local port is left: name more addresses in sources'),
        has(failures, 'enomem') && see('memory', 'the machine has no memory left'),
      ]
      return seen.filter(limit => limit !== false && limit !== null)
    },
    add(limit, text) {
      see(limit, text)
    },
    all: () => [...found.values()],
  }
}

function has(failures: Readonly<Record<string, number>>, code: string): boolean {
  return Object.keys(failures).some(name => name.includes(code))
}

/** Processes for that many devices: one per CPU but one, and as many as descriptors call for. */
export function workersFor(devices: number, cpus: number, descriptors: number | null): number {
  const byCpu = Math.min(Math.max(1, cpus - 1), Math.ceil(devices / 1_000))
  const byDescriptors = Math.ceil(devices / Math.max(1, (descriptors ?? 65_536) - DESCRIPTORS_SPARE))
  return Math.min(WORKERS_MAX, Math.max(1, byCpu, byDescriptors))
}

/** What will not do before anything is sent. */
export function shortages(
  devices: number,
  workers: number,
  sources: number,
  descriptors: number | null,
): string[] {
  const each = Math.ceil(devices / workers)
  const short: string[] = []
  if (descriptors !== null && each > descriptors - DESCRIPTORS_SPARE) {
    short.push(
      `a worker may open ${descriptors} files, too few for ${each} devices: raise ulimit -n or add workers`,
    )
  }
  if (devices > PORTS_PER_SOURCE * Math.max(1, sources)) {
    short.push(
      `${devices} devices need more local ports than ${Math.max(1, sources)} address has: name more in sources`,
    )
  }
  return short
}
