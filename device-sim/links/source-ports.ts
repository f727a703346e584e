// Local ports for connections from a source address, in turn. With more than 14,000 bound ports Linux takes milliseconds to find a free one
// by itself, and the worker stands still meanwhile.

/** Linux's own range (`ip_local_port_range`), where nothing else is configured. */
const FIRST = 32_768
const COUNT = 28_232
/** Devices of a run from which on ports are given here. */
const DEVICES_MIN = 10_000

export type SourcePorts = {
  /** A port that no open connection of this worker has. Null where all are in use: Linux finds one, or refuses. */
  take(source: string): number | null
  free(source: string, port: number): void
}

/** Null where the kernel is fast enough. Workers begin at ports far from each other. */
export function createSourcePorts(devices: number, worker: number): SourcePorts | null {
  if (devices < DEVICES_MIN) return null
  const bySource = new Map<string, { next: number; used: Set<number> }>()
  const of = (source: string) => {
    const known = bySource.get(source) ?? { next: Math.floor(COUNT * spread(worker)), used: new Set() }
    bySource.set(source, known)
    return known
  }
  return {
    take(source) {
      const own = of(source)
      if (own.used.size >= COUNT) return null
      while (own.used.has(FIRST + own.next)) own.next = (own.next + 1) % COUNT
      const port = FIRST + own.next
      own.next = (own.next + 1) % COUNT
      own.used.add(port)
      return port
    },
    free: (source, port) => void of(source).used.delete(port),
  }
}

/** 0, 1/2, 1/4, 3/4, 1/8 …: places as far from all before as can be. */
function spread(index: number): number {
  let place = 0
  for (let rest = index, share = 0.5; rest > 0; rest >>= 1, share /= 2) if (rest & 1) place += share
  return place
}
