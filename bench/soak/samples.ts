// What the processes of a running system hold, sampled from their own metrics, and whether it stays flat. Starts nothing.
import { statSync } from 'node:fs'
import { join } from 'node:path'

/** Sizes in bytes, time in seconds since the first sample, lag in ms. */
export type Sample = {
  second: number
  processes: Record<string, { resident: number; heap: number; descriptors: number; lag: number }>
  stores: Record<string, number>
}

type Trend = {
  process: string
  what: 'resident' | 'heap' | 'descriptors'
  level: number
  /** A share of the level. */
  growth: number
  flat: boolean
}

const STORES = [
  'registry.db',
  'registry.db-wal',
  'sessions.db',
  'sessions.db-wal',
  'events.db',
  'events.db-wal',
]
/** Growth of what is judged that still counts as flat. */
const FLAT = 0.1
/** Growth too small to be a share of anything: descriptors by ones, memory by what an allocator keeps back. */
const SLACK = { resident: 8 * 1_048_576, heap: 4 * 1_048_576, descriptors: 5 }
/** The heap comes down when garbage is collected: of each stretch its least is looked at. */
const STRETCHES = 12

const families: Record<string, keyof Sample['processes'][string]> = {
  rollcall_process_resident_bytes: 'resident',
  rollcall_process_heap_used_bytes: 'heap',
  rollcall_process_open_descriptors: 'descriptors',
}

export function readSample(second: number, exposition: string, data: string): Sample {
  const processes: Sample['processes'] = {}
  const of = (name: string) => {
    processes[name] ??= { resident: 0, heap: 0, descriptors: 0, lag: 0 }
    return processes[name]
  }
  for (const line of exposition.split('\n')) {
    const [, family = '', labels = '', value = ''] = /^(\w+)\{([^}]*)\} (\S+)$/.exec(line) ?? []
    const process = /process="([^"]*)"/.exec(labels)?.[1]
    if (process === undefined) continue
    const what = families[family]
    if (what !== undefined) of(process)[what] = Number(value)
    if (family === 'rollcall_event_loop_lag_seconds' && labels.includes('quantile="1"'))
      of(process).lag = Number(value) * 1_000
  }
  const stores = Object.fromEntries(STORES.map(name => [name, sizeOf(join(data, name))]))
  return { second, processes, stores }
}

/**
 * Heap and descriptors grow by the slope of a straight line through the samples after the warm-up. Resident memory is given back in
 * steps minutes apart, so its highest of the last third stands beside its highest before.
 */
export function trendsOf(samples: readonly Sample[], warmUpSeconds: number): Trend[] {
  const names = Object.keys(samples[0]?.processes ?? {})
  return names.flatMap(process =>
    (['resident', 'heap', 'descriptors'] as const).map(what => {
      const points = samples.flatMap(({ second, processes }) => {
        const value = processes[process]?.[what]
        return value === undefined ? [] : [{ second, value }]
      })
      const warm = points.filter(({ second }) => second >= warmUpSeconds)
      const { level, growth } = what === 'resident' ? highs(points) : line(leastOfStretches(warm))
      const flat = growth <= Math.max(level * FLAT, SLACK[what])
      return { process, what, level, growth: growth / level, flat }
    }),
  )
}

type Point = { second: number; value: number }

function leastOfStretches(points: readonly Point[]): Point[] {
  const size = Math.max(1, Math.floor(points.length / STRETCHES))
  const stretches = Array.from({ length: Math.floor(points.length / size) }, (_, index) =>
    points.slice(index * size, (index + 1) * size),
  )
  return stretches.map(stretch =>
    stretch.reduce((least, point) => (point.value < least.value ? point : least)),
  )
}

function highs(points: readonly Point[]): { level: number; growth: number } {
  const late = Math.floor((points.length * 2) / 3)
  const highest = (of: readonly Point[]) => Math.max(0, ...of.map(({ value }) => value))
  const level = highest(points.slice(0, late))
  return { level, growth: highest(points.slice(late)) - level }
}

/** Least squares: the value in the middle, and what is added from the first point to the last. */
function line(points: readonly Point[]): { level: number; growth: number } {
  const mean = (values: number[]) =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
  const second = mean(points.map(point => point.second))
  const level = mean(points.map(point => point.value))
  const spread = points.reduce((sum, point) => sum + (point.second - second) ** 2, 0)
  const slope =
    spread === 0
      ? 0
      : points.reduce((sum, point) => sum + (point.second - second) * (point.value - level), 0) / spread
  const lasted = (points.at(-1)?.second ?? 0) - (points[0]?.second ?? 0)
  return { level, growth: slope * lasted }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}
